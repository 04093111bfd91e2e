#include "eval/quantization_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace lille {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 400;
constexpr double kLeft = 96;
constexpr double kRight = 16;
constexpr double kTop = 16;
constexpr double kBottom = 48;

/// Colours of series, the classes s0 to s5 of kStyle; told apart without colour too: by their marks.
constexpr std::size_t kColours = 6;

constexpr std::array<std::string_view, 10> kColumns = {
    "format",  "MB",        "bits per weight", "perplexity",   "+/-",
    "KL mean", "KL 99.9 %", "top-1 %",         "decode tok/s", "prefill tok/s"};

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char character : text) {
    switch (character) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += character;
    }
  }
  return safe;
}

std::array<std::string, 10> cells_of(const FormatResult& format) {
  return {format.name,
          fmt::format("{:.2f}", static_cast<double>(format.n_bytes) * 1e-6),
          fmt::format("{:.3f}", format.bits_per_weight),
          fmt::format("{:.4f}", format.perplexity),
          fmt::format("{:.2f}", format.perplexity_error),
          fmt::format("{:.3g}", format.kl_mean),
          fmt::format("{:.3g}", format.kl_p999),
          fmt::format("{:.2f}", 100 * format.top1_agreement),
          fmt::format("{:.0f}", format.decode_tokens_per_s),
          fmt::format("{:.0f}", format.prefill_tokens_per_s)};
}

/// Formats that have a place in the plot: the source's divergence of 0 has none on a scale of powers of ten.
std::vector<FormatResult> plotted(const QuantizationReport& report) {
  std::vector<FormatResult> formats;
  for (const FormatResult& format : report.formats)
    if (format.kl_mean > 0 && std::isfinite(format.kl_mean)) formats.push_back(format);
  std::ranges::stable_sort(formats, {}, &FormatResult::bits_per_weight);
  return formats;
}

/// Where values of the two axes lie.
struct Scale {
  double min_bits, max_bits, min_power, max_power;

  double x(double bits) const {
    return kLeft + (bits - min_bits) / (max_bits - min_bits) * (kWidth - kLeft - kRight);
  }
  double y(double kl) const {
    return kTop + (max_power - std::log10(kl)) / (max_power - min_power) * (kHeight - kTop - kBottom);
  }
};

Scale scale_of(const std::vector<FormatResult>& formats) {
  const auto [least, most] = std::ranges::minmax(formats, {}, &FormatResult::kl_mean);
  Scale scale = {std::floor(formats.front().bits_per_weight), std::ceil(formats.back().bits_per_weight),
                 std::floor(std::log10(least.kl_mean)), std::ceil(std::log10(most.kl_mean))};
  if (scale.max_bits == scale.min_bits) ++scale.max_bits;
  if (scale.max_power == scale.min_power) ++scale.max_power;
  return scale;
}

std::string axes(const Scale& scale) {
  std::string svg;
  const double bottom = kHeight - kBottom;
  for (double bits = scale.min_bits; bits <= scale.max_bits; ++bits)
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:.0f}</text>\n",
        scale.x(bits), kTop, bottom, bottom + 18, bits);
  for (double power = scale.min_power; power <= scale.max_power; ++power) {
    const double kl = std::pow(10.0, power);
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" y1=\"{1:.1f}\" x2=\"{2}\" y2=\"{1:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g}</text>\n",
        kLeft, scale.y(kl), kWidth - kRight, kLeft - 8, scale.y(kl) + 4, kl);
  }
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">bits per weight</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8);
  svg += fmt::format(
      "<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">mean KL divergence, "
      "nats</text>\n",
      (kTop + bottom) / 2);
  return svg;
}

/// A circle, square, diamond or triangle of the colour, with what it stands for.
std::string mark(std::size_t series, double x, double y, std::string_view title) {
  constexpr std::array<std::string_view, 4> kShapes = {"M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
                                                       "M-4.5 -4.5h9v9h-9z", "M0 -6l6 6l-6 6l-6 -6z",
                                                       "M0 -6l5.5 10h-11z"};
  return fmt::format(
      "<path class=\"s{}\" d=\"{}\" transform=\"translate({:.1f} {:.1f})\"><title>{}</title></path>\n",
      series % kColours, kShapes[series % kShapes.size()], x, y, escaped(title));
}

std::string plot(const QuantizationReport& report) {
  const std::vector<FormatResult> formats = plotted(report);
  if (formats.empty()) return "<p>No format differs from the source.</p>\n";
  const Scale scale = scale_of(formats);
  std::vector<std::string> series;
  for (const FormatResult& format : report.formats)
    if (std::ranges::find(series, format.series) == series.end() &&
        std::ranges::find(formats, format.series, &FormatResult::series) != formats.end())
      series.push_back(format.series);
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Divergence over size\">\n", kWidth, kHeight);
  svg += axes(scale);
  for (std::size_t idx = 0; idx < series.size(); ++idx) {
    std::string points, marks;
    for (const FormatResult& format : formats) {
      if (format.series != series[idx]) continue;
      const double x = scale.x(format.bits_per_weight);
      const double y = scale.y(format.kl_mean);
      points += fmt::format("{:.1f},{:.1f} ", x, y);
      marks += mark(idx, x, y,
                    fmt::format("{}: {:.3f} bits per weight, KL {:.3g}", format.name, format.bits_per_weight,
                                format.kl_mean));
    }
    svg += fmt::format("<polyline class=\"s{}\" points=\"{}\"/>\n", idx % kColours, points);
    svg += marks;
    const double y = kTop + 18 + 20 * static_cast<double>(idx);
    svg += mark(idx, kWidth - kRight - 150, y - 4, series[idx]);
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", kWidth - kRight - 138, y, escaped(series[idx]));
  }
  return svg + "</svg>\n";
}

std::string html_table(const QuantizationReport& report) {
  std::string table = "<table>\n<thead><tr>";
  for (const std::string_view column : kColumns) table += fmt::format("<th>{}</th>", escaped(column));
  table += "</tr></thead>\n<tbody>\n";
  for (const FormatResult& format : report.formats) {
    table += "<tr>";
    for (const std::string& cell : cells_of(format)) table += fmt::format("<td>{}</td>", escaped(cell));
    table += "</tr>\n";
  }
  return table + "</tbody>\n</table>\n";
}

/// Colours follow the system's scheme. On a narrow page the plot, which shrinks with it, has larger letters,
/// and the table scrolls beneath the names of formats, which stay.
constexpr std::string_view kStyle =
    ":root{color-scheme:light dark;--text:#1a1a1a;--ground:#fff;--line:#ddd;--grid:#e2e2e2;--hover:#f3f6fa;"
    "--s0:#1f5fa8;--s1:#c2410c;--s2:#15803d;--s3:#7e22ce;--s4:#a16207;--s5:#0f766e}"
    "@media(prefers-color-scheme:dark){:root{--text:#e4e6e9;--ground:#16181c;--line:#3a3f47;--grid:#30343b;"
    "--hover:#22262d;--s0:#6ea8e8;--s1:#f0915a;--s2:#5cc487;--s3:#c08cf0;--s4:#d9b14a;--s5:#4fc4b6}}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:var(--text);"
    "background:var(--ground)}"
    "h1{font-size:1.5em;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3em .6em;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th{vertical-align:bottom;white-space:normal}"
    "th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--ground)}"
    "tbody tr:hover,tbody tr:hover td:first-child{background:var(--hover)}"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}"
    "svg text{fill:var(--text)}"
    ".grid{stroke:var(--grid)}"
    "polyline{fill:none;stroke-width:2}"
    ".s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}"
    ".s5{color:var(--s5)}"
    "path{fill:currentColor}polyline{stroke:currentColor}"
    ".wide{overflow-x:auto}"
    "@media(max-width:40em){body{margin:1em auto}svg{font-size:20px}polyline{stroke-width:3}}";

}  // namespace

std::string report_text(const QuantizationReport& report) {
  std::vector<std::array<std::string, 10>> rows;
  std::array<std::size_t, 10> widths{};
  for (std::size_t col = 0; col < kColumns.size(); ++col) widths[col] = kColumns[col].size();
  for (const FormatResult& format : report.formats) {
    rows.push_back(cells_of(format));
    for (std::size_t col = 0; col < kColumns.size(); ++col)
      widths[col] = std::max(widths[col], rows.back()[col].size());
  }
  std::string text;
  const auto add_line = [&](const auto& cells) {
    text += fmt::format("{:<{}}", cells[0], widths[0]);
    for (std::size_t col = 1; col < kColumns.size(); ++col)
      text += fmt::format("  {:>{}}", cells[col], widths[col]);
    text += "\n";
  };
  add_line(kColumns);
  for (const std::array<std::string, 10>& row : rows) add_line(row);
  for (const std::string& sentence : report.protocol) text += sentence + "\n";
  return text;
}

std::string report_html(const QuantizationReport& report) {
  const std::string title = escaped("Quantised: " + report.model);
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n<style>{1}</style>\n"
      "</head>\n<body>\n<h1>{0}</h1>\n",
      title, kStyle);
  html += plot(report) + "<div class=\"wide\">\n" + html_table(report) + "</div>\n<ul>\n";
  for (const std::string& sentence : report.protocol) html += "<li>" + escaped(sentence) + "</li>\n";
  return html + "</ul>\n</body>\n</html>\n";
}

}  // namespace lille
