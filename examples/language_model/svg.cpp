// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The picture, written by hand.

#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace language_model {
namespace {

/// Lines may lie on each other: later ones have smaller marks and gaps.
struct style {
  char const* color;
  char const* dashes;
  double mark;
};
constexpr style styles[] = {{"#0b6e4f", "none", 6.5},
                            {"#5aa9e6", "7 5", 4.5},
                            {"#8c2fbf", "2 5", 2.5},
                            {"#c2571a", "none", 3.5},
                            {"#777777", "none", 3.5}};

/// Data to pixels: ratios on a logarithmic axis, bits per byte on a linear one.
struct frame {
  double left = 70.0;
  double right = 520.0;
  double top = 50.0;
  double bottom = 380.0;
  double least_percent = 0.9;
  double most_percent = 28.0;
  double least_bits = 0.0;
  double most_bits = 1.0;

  [[nodiscard]] double x(double percent) const {
    double const part = std::log(percent / least_percent) / std::log(most_percent / least_percent);
    return left + part * (right - left);
  }
  [[nodiscard]] double y(double bits) const {
    return bottom - (bits - least_bits) / (most_bits - least_bits) * (bottom - top);
  }
};

std::string number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string line(double x1, double y1, double x2, double y2, std::string const& look) {
  return "<line x1='" + number(x1, 1) + "' y1='" + number(y1, 1) + "' x2='" + number(x2, 1) +
         "' y2='" + number(y2, 1) + "' " + look + "/>\n";
}

std::string label(double x, double y, std::string const& text, std::string const& look = "") {
  return "<text x='" + number(x, 1) + "' y='" + number(y, 1) + "' " + look + ">" + text +
         "</text>\n";
}

/// Random keys are so much worse that they would press the other lines together.
frame frame_of(evaluation const& e) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (result const& r : e.results) {
    if (r.method == names::random) continue;
    least = std::min(least, r.bits_per_byte);
    most = std::max(most, r.bits_per_byte);
  }
  frame f;
  f.least_bits = std::floor(least * 10.0 - 0.2) / 10.0;
  f.most_bits = std::ceil(most * 10.0 + 0.2) / 10.0;
  return f;
}

std::string axes(frame const& f) {
  std::string out;
  int const tenths = static_cast<int>(std::lround((f.most_bits - f.least_bits) * 10.0));
  int const step = std::max(1, (tenths + 9) / 10);
  for (int i = 0; i <= tenths; i += step) {
    double const bits = f.least_bits + i / 10.0;
    out += line(f.left, f.y(bits), f.right, f.y(bits), "stroke='#e4e4e4'");
    out += label(f.left - 8, f.y(bits) + 4, number(bits, 1), "text-anchor='end'");
  }
  for (int const percent : {1, 2, 5, 10, 25}) {
    out += line(f.x(percent), f.bottom, f.x(percent), f.bottom + 5, "stroke='#333'");
    out +=
        label(f.x(percent), f.bottom + 20, std::to_string(percent) + " %", "text-anchor='middle'");
  }
  out += line(f.left, f.top, f.left, f.bottom, "stroke='#333'");
  out += line(f.left, f.bottom, f.right, f.bottom, "stroke='#333'");
  out += label((f.left + f.right) / 2, f.bottom + 42, "keys that each head reads",
               "text-anchor='middle'");
  double const middle = (f.top + f.bottom) / 2;
  out += label(22, middle, "bits per byte (less is better)",
               "text-anchor='middle' transform='rotate(-90 22 " + number(middle, 1) + ")'");
  return out;
}

/// One method: its line and its entry in the legend.
std::string curve(frame const& f, std::vector<result const*> const& rows, style const& look,
                  double legend) {
  std::string const stroke = std::string("fill='none' stroke-width='2' stroke='") + look.color +
                             "' stroke-dasharray='" + look.dashes + "'";
  std::string points;
  std::string marks;
  for (result const* const r : rows) {
    if (r->bits_per_byte > f.most_bits) continue;
    std::string const x = number(f.x(r->percent), 1);
    std::string const y = number(f.y(r->bits_per_byte), 1);
    points += x + "," + y + " ";
    marks += "<circle cx='" + x + "' cy='" + y + "' r='" + number(look.mark, 1) + "' fill='" +
             look.color + "'/>\n";
  }
  double const at = f.right + 15;
  std::string out = line(at, legend - 4, at + 28, legend - 4, stroke);
  out += label(at + 36, legend, rows.front()->method);
  if (points.empty()) {
    out += label(at + 36, legend + 16,
                 "above: " + number(rows.front()->bits_per_byte, 1) + " to " +
                     number(rows.back()->bits_per_byte, 1));
  }
  return out + "<polyline points='" + points + "' " + stroke + "/>\n" + marks;
}

}  // namespace

void write_svg(std::filesystem::path const& path, evaluation const& e) {
  frame const f = frame_of(e);
  std::ofstream out(path);
  out << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 720 440' width='720' height='440' "
         "font-family='sans-serif' font-size='13' fill='#222'>\n"
         "<rect width='720' height='440' fill='white'/>\n"
      << label(f.left, 28, "Quality of decoding against the share of keys that are read",
               "font-size='16'")
      << axes(f);

  std::vector<std::vector<result const*>> methods;
  for (result const& r : e.results) {
    if (r.percent == 0) {
      std::string const dashed = r.method == names::dense ? "stroke='#111' stroke-dasharray='6 4'"
                                                          : "stroke='#aaa' stroke-dasharray='6 4'";
      out << line(f.left, f.y(r.bits_per_byte), f.right, f.y(r.bits_per_byte), dashed)
          << label(f.right + 15, f.y(r.bits_per_byte) + 4, r.method);
    } else if (methods.empty() || methods.back().front()->method != r.method) {
      methods.push_back({&r});
    } else {
      methods.back().push_back(&r);
    }
  }
  for (std::size_t i = 0; i < methods.size(); ++i) {
    out << curve(f, methods[i], styles[i % std::size(styles)],
                 f.top + 10 + 22 * static_cast<double>(i));
  }
  out << "</svg>\n";
  if (!out.flush()) throw std::runtime_error(path.string() + ": cannot be written");
}

}  // namespace language_model
