#include "eval/quantization_report.h"

#include <algorithm>

#include "support.h"

namespace lille {
namespace {

FormatResult format(std::string series, std::string name, double bits, double kl) {
  return {.series = std::move(series),
          .name = std::move(name),
          .n_bytes = 12'345'678,
          .bits_per_weight = bits,
          .perplexity = 34.5678,
          .perplexity_error = 1.25,
          .kl_mean = kl,
          .kl_p999 = 10 * kl,
          .top1_agreement = 0.9876,
          .decode_tokens_per_s = 321,
          .prefill_tokens_per_s = 6543};
}

QuantizationReport some_report() {
  return {"a <model> & \"more\"",
          {"Measured on 'text' <b>."},
          {format("source", "bfloat16", 16, 0), format("rtn", "rtn, 4 bits", 4.5, 0.05),
           format("gptq", "gptq, 4 bits", 4.5, 0.02), format("gptq", "gptq, 8 bits", 8.5, 0.0002)}};
}

int64_t count(std::string_view text, std::string_view part) {
  int64_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(QuantizationReport, TextHasALineForEachFormat) {
  const std::string text = report_text(some_report());
  EXPECT_EQ(count(text, "\n"), 1 + 4 + 1) << text;
  EXPECT_NE(text.find("gptq, 4 bits"), text.npos);
  for (const std::string_view cell :
       {"12.35", "4.500", "34.5678", "1.25", "0.02", "0.2", "98.76", "321", "6543"})
    EXPECT_NE(text.find(cell), text.npos) << cell;
}

TEST(QuantizationReport, HtmlStandsAloneAndEscapesTexts) {
  const std::string html = report_html(some_report());
  EXPECT_NE(html.find("a &lt;model&gt; &amp; &quot;more&quot;"), html.npos);
  EXPECT_NE(html.find("Measured on &#39;text&#39; &lt;b&gt;."), html.npos);
  for (const std::string_view part :
       {"<model>", "<b>", "<script", "http:", "https:", "src=", "@import", "url("})
    EXPECT_EQ(html.find(part), html.npos) << part;
  EXPECT_EQ(count(html, "<tr>"), 1 + 4);
}

// One line for each series, and a mark for each format and each entry of the legend; the source has no
// place on the scale.
TEST(QuantizationReport, PlotHasAMarkForEachFormat) {
  const std::string html = report_html(some_report());
  EXPECT_EQ(count(html, "<polyline"), 2);
  EXPECT_EQ(count(html, "<path"), 3 + 2);
  EXPECT_EQ(html.find("nan"), html.npos);
}

// Each series has a colour in the light scheme and in the dark one, and nothing else names a colour.
TEST(QuantizationReport, PlotHasColoursForBothSchemes) {
  const std::string html = report_html(some_report());
  const std::size_t dark = html.find("@media(prefers-color-scheme:dark)");
  ASSERT_NE(dark, html.npos);
  for (int series = 0; series < 2; ++series) {
    const std::string colour = "--s" + std::to_string(series) + ":#";
    EXPECT_LT(html.find(colour), dark);
    EXPECT_NE(html.find(colour, dark), html.npos);
    EXPECT_NE(html.find("<polyline class=\"s" + std::to_string(series) + "\""), html.npos);
  }
  EXPECT_EQ(html.find('#', html.find("</style>")), html.find("&#39;", html.find("</style>")) + 1);
}

TEST(QuantizationReport, TakesAReportWithoutDifferences) {
  QuantizationReport report = some_report();
  report.formats.resize(1);
  EXPECT_NE(report_html(report).find("No format differs from the source."), std::string::npos);
  report.formats.push_back(format("rtn", "only one", 8.5, 0.001));
  const std::string html = report_html(report);
  EXPECT_EQ(count(html, "<polyline"), 1);
  EXPECT_EQ(html.find("inf"), html.npos);
}

}  // namespace
}  // namespace lille
