// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A language model on real text, decoded with top-k sparse attention. See README.md.

#include "attention.hpp"
#include "checks.hpp"
#include "evaluation.hpp"
#include "generate.hpp"
#include "model.hpp"
#include "report.hpp"
#include "sha256.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace language_model;
namespace fs = std::filesystem;

struct arguments {
  fs::path data = fs::path(__FILE__).parent_path();
  fs::path text;
  fs::path output = ".";
  std::string backend = "cpu";
  bool must_hold = false;
  std::size_t continue_at = 0;
  evaluation_options evaluation{
      .threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))};
  generation_options generation;
};

std::vector<std::uint8_t> read_text(fs::path const& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be opened");
  return {std::istreambuf_iterator<char>(in), {}};
}

std::unique_ptr<attention_backend> make_backend(std::string const& name, cache_precision cache) {
  return name == "cuda" ? cuda_attention(cache) : cpu_attention(cache);
}

/// The command line as it reads in the current folder.
std::string command_of(int argc, char** argv) {
  std::string const here = fs::current_path().string() + "/";
  std::string command = fs::path(argv[0]).filename().string();
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument.starts_with(here)) argument.erase(0, here.size());
    command += " " + argument;
  }
  return command;
}

/// The checks speak of the shipped text; on another one they only report, unless asked.
int run_evaluation(arguments const& a, model const& m, std::string const& command) {
  fs::path const text_path = a.text.empty() ? a.data / "text.txt" : a.text;
  std::vector<std::uint8_t> const text = read_text(text_path);
  auto const backend = make_backend(a.backend, cache_precision::fp16);
  evaluation const e = evaluate(m, *backend, text, a.evaluation);
  print_table(e);
  std::printf(
      "\nThe last %d bytes of %zu windows of %d bytes of %s, teacher-forced, in %.0f s.\n"
      "Recall, retained mass and entropy (in nats): mean over heads, layers and every %dnd token.\n"
      "ms/token: the whole model, one token at a time, one thread a sequence, %d sequences at "
      "once; median.\n",
      a.evaluation.scored, e.windows.size(), e.window_bytes, text_path.filename().c_str(),
      e.seconds, measured_every,
      std::min(a.evaluation.threads, static_cast<int>(e.windows.size())));
  auto const exact_cache = make_backend(a.backend, cache_precision::fp32);
  std::vector<check> const all =
      checks(e, logits_error(m, *exact_cache, safetensors_file(a.data / "sample.safetensors")));
  bool const good = print_checks(all);

  fs::create_directories(a.output);
  write_json(a.output / "language_model.json", e, all,
             {.command = command,
              .backend = backend->name(),
              .text = text_path.filename().string(),
              .text_bytes = text.size(),
              .text_sha256 = sha256(text),
              .model = m.metadata(),
              .hardware_threads = std::thread::hardware_concurrency(),
              .options = a.evaluation});
  write_svg(a.output / "language_model.svg", e);
  std::printf("\nwritten: %s and .svg\n", (a.output / "language_model.json").c_str());
  if (good || !(a.must_hold || a.text.empty())) return 0;
  std::fprintf(stderr, "language_model: a check failed; see the lines marked FAILED above\n");
  return 1;
}

int run_generation(arguments const& a, model const& m) {
  std::vector<std::uint8_t> const text = read_text(a.text.empty() ? a.data / "text.txt" : a.text);
  std::size_t const end = a.continue_at == 0 ? text.size() : std::min(a.continue_at, text.size());
  generate(m, *make_backend(a.backend, cache_precision::fp16), std::span(text).first(end),
           a.generation);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  arguments a;
  CLI::App app{
      "Decodes real text with a small language model whose attention reads only some of its keys,\n"
      "and compares ways to choose them."};
  app.add_option("text", a.text, "Any text file of 8 KiB or more (default: the shipped one)")
      ->check(CLI::ExistingFile);
  app.add_option("--data", a.data, "Folder of weights.safetensors, sample.safetensors, text.txt")
      ->check(CLI::ExistingDirectory);
  app.add_option("--output", a.output, "Folder for language_model.json and .svg (default: .)");
  app.add_option("--backend", a.backend, "Where attention runs: cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag("--check", a.must_hold, "Fail unless the checks hold, also on a text of your own");
  app.add_option("--windows", a.evaluation.windows, "Windows of the text")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--scored", a.evaluation.scored, "Bytes scored at the end of each window")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", a.evaluation.threads, "Sequences decoded at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--alone", a.evaluation.alone,
               "Decode every token in a call of its own: slower, the same bits per byte");
  auto* const generating =
      app.add_option("--generate", a.generation.bytes, "Continue the text by so many bytes instead")
          ->check(CLI::PositiveNumber);
  app.add_option("--at", a.continue_at, "Continue behind this byte of the text (default: its end)")
      ->needs(generating);
  app.add_option("--percent", a.generation.percent, "Of the keys that each head reads, generating")
      ->check(CLI::Range(1, 100))
      ->needs(generating)
      ->capture_default_str();
  app.add_option("--temperature", a.generation.temperature, "0: always the likeliest byte")
      ->check(CLI::NonNegativeNumber)
      ->needs(generating)
      ->capture_default_str();
  app.add_option("--seed", a.generation.seed, "Of the sampling")
      ->needs(generating)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  try {
    model const m{safetensors_file(a.data / "weights.safetensors")};
    if (*generating) return run_generation(a, m);
    return run_evaluation(a, m, command_of(argc, argv));
  } catch (std::exception const& problem) {
    std::fprintf(stderr, "language_model: %s\n", problem.what());
    return 1;
  }
}
