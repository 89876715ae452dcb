#include "answer/web_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "image/codecs.h"
#include "image/draw.h"
#include "image/palette.h"
#include "io/file.h"
#include "io/markup.h"
#include "regions/box_iou.h"

namespace groma {
namespace {

using io::escape_markup;

constexpr const char* kStyle = R"(<style>
:root{color-scheme:light dark;--ground:#fff;--ink:#222;--faint:#777}
@media(prefers-color-scheme:dark){:root{--ground:#1b1b1d;--ink:#eee;--faint:#aaa}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--ground);color:var(--ink);
font:1.1rem/1.7 system-ui,sans-serif;overflow-wrap:anywhere}
.shot{position:relative;margin:0 auto}
.shot img{display:block;width:100%;height:auto}
.shot svg{position:absolute;inset:0;width:100%;height:100%}
rect{fill:#0000;stroke:var(--c);stroke-width:3px;vector-effect:non-scaling-stroke;
transition:opacity .15s}
rect.edge{stroke:#141414;stroke-width:5px}
text{display:none;fill:var(--c);stroke:#141414;paint-order:stroke;font-family:system-ui,sans-serif;
font-weight:600}
.some .mark{opacity:.25}.some .mark.lit{opacity:1}
.lit rect{fill:color-mix(in srgb,var(--c) 25%,#0000)}.lit text{display:inline}
.question{color:var(--faint);margin:1rem 0 0;white-space:pre-wrap}
.answer{margin:.3rem 0;white-space:pre-wrap}
.phrase{cursor:pointer;padding:.1em .15em;border-radius:.25em;border-bottom:.2em solid var(--c)}
.phrase.lit{background:color-mix(in srgb,var(--c) 35%,#0000)}
.phrase:focus-visible{outline:2px solid var(--ink)}
</style>
)";

// Pointing lights up for a moment, a tap or Enter until the next.
constexpr const char* kScript = R"(<script>
const all=[...document.querySelectorAll('[data-phrase]')];let held=null;
const show=k=>{all.forEach(e=>e.classList.toggle('lit',e.dataset.phrase===k));
document.body.classList.toggle('some',k!==null)};
const of=e=>e.target.closest?.('[data-phrase]')?.dataset.phrase??null;
document.addEventListener('pointerover',e=>{if(e.pointerType==='mouse')show(of(e)??held)});
document.addEventListener('focusin',e=>show(of(e)??held));
document.addEventListener('click',e=>{const k=of(e);held=k===held?null:k;show(held)});
document.addEventListener('keydown',e=>{if(e.key==='Escape')show(held=null);
if((e.key==='Enter'||e.key===' ')&&of(e)!==null){e.preventDefault();const k=of(e);held=k===held?null:k;show(held)}});
</script>
)";

std::string css(const Rgb& color) {
  char text[8];
  std::snprintf(text, sizeof(text), "#%02x%02x%02x", color[0], color[1], color[2]);
  return text;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", std::isfinite(value) ? value : 0.0);
  return text;
}

std::string picture_address(const Image& image) {
  return io::data_address(encode_picture(image, "picture.jpg"));
}

/// 1 for a picture of 640 x 480.
double unit_of(const Image& image) {
  return std::sqrt(static_cast<double>(image.width()) * image.height()) / 554;
}

std::string rectangle(const Box& box, const std::string& attributes) {
  return "<rect x=\"" + number(box.x1) + "\" y=\"" + number(box.y1) + "\" width=\"" +
         number(box.x2 - box.x1) + "\" height=\"" + number(box.y2 - box.y1) + "\" " + attributes +
         "/>";
}

/// Words above the box, or inside or below where there is no room or words of `taken` are, which
/// they join; towards the middle of the picture.
std::string label(const Box& box, const Image& image, const std::string& words, double size,
                  const std::string& attributes, std::vector<Box>& taken) {
  const bool leftwards = box.x1 + box.x2 > static_cast<float>(image.width());
  const double x = leftwards ? box.x2 - 0.2 * size : box.x1 + 0.2 * size;
  const double wide = 0.6 * size * static_cast<double>(words.size());
  const double left = leftwards ? x - wide : x;
  const auto around = [&](double y) {
    return Box{static_cast<float>(left), static_cast<float>(y - size),
               static_cast<float>(left + wide), static_cast<float>(y + 0.3 * size)};
  };
  double y = box.y1 + 1.1 * size;  // where no place is free
  for (const double free :
       {box.y1 - 0.35 * size, box.y1 + 1.1 * size, box.y2 - 0.35 * size, box.y2 + 1.1 * size}) {
    const auto place = around(free);
    if (place.y1 < 0 || place.y2 > static_cast<float>(image.height()) ||
        std::any_of(taken.begin(), taken.end(),
                    [&](const Box& other) { return box_iou(place, other) > 0; })) {
      continue;
    }
    y = free;
    break;
  }
  taken.push_back(around(y));
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" font-size=\"" + number(size) +
         "\" stroke-width=\"" + number(0.25 * size) + "\" text-anchor=\"" +
         (leftwards ? "end" : "start") + "\" " + attributes + ">" + escape_markup(words) +
         "</text>";
}

/// The outlines of a region's mask as one path, filled half-transparent; empty without a mask.
std::string mask_path(const ImageAnswer& answered, const NamedRegion& named,
                      const std::string& color) {
  const auto mask = answered.masks.find(named.region);
  if (mask == answered.masks.end()) return "";
  std::string path;
  for (const auto& outline : outlines_of(mask->second)) {
    char command = 'M';
    for (const auto& at : outline) {
      path += command + number(at.x) + "," + number(at.y);
      command = 'L';
    }
    path += 'Z';
  }
  return "<path fill=\"" + color + "\" fill-opacity=\"0.5\" d=\"" + path + "\"/>";
}

std::string described(const Phrase& phrase, const NamedRegion& named) {
  char score[64];
  std::snprintf(score, sizeof(score), " (region %d, score %.2f)", named.region, named.score);
  return "<title>" + escape_markup(phrase.text + score) + "</title>";
}

/// Boxes of what was pointed at, dashed.
std::string pointed_boxes(const Image& image, const ImageAnswer& answered) {
  const double line = 3 * unit_of(image);
  const auto color = css(kGivenColor);
  std::string out;
  for (const auto& referent : answered.referents) {
    const auto words = referent.name.empty() ? "pointed at" : referent.name;
    out += "<g><title>" + escape_markup(words) + "</title>" +
           rectangle(referent.box, "style=\"fill:none;stroke:" + color +
                                       ";stroke-width:" + number(line) +
                                       ";stroke-dasharray:" + number(3 * line) + "\"") +
           "</g>\n";
  }
  return out;
}

/// The boxes of all phrases over the picture.
std::string overlay(const Image& image, const ImageAnswer& answered) {
  const auto& answer = answered.answer;
  const double size = 22 * unit_of(image);
  const auto colors = phrase_colors(answer.phrases);
  std::string out = "<svg viewBox=\"0 0 " + std::to_string(image.width()) + " " +
                    std::to_string(image.height()) + "\" preserveAspectRatio=\"none\">\n";
  for (std::size_t i = 0; i < answer.phrases.size(); ++i) {
    const auto& phrase = answer.phrases[i];
    std::vector<Box> taken;  // the page shows the words of one phrase at a time
    for (const auto& named : phrase.regions) {
      out += "<g class=\"mark\" data-phrase=\"" + std::to_string(i) +
             "\" style=\"--c:" + css(colors[i]) + "\">" + described(phrase, named) +
             mask_path(answered, named, css(colors[i])) + rectangle(named.box, "class=\"edge\"") +
             rectangle(named.box, "") +
             label(named.box, image, region_label(phrase, named), size, "", taken) + "</g>\n";
    }
  }
  return out + pointed_boxes(image, answered) + "</svg>";
}

/// The answer's text; phrases with regions are marked, and those without words get their numbers.
std::string marked_text(const ChatResult& answer) {
  const auto colors = phrase_colors(answer.phrases);
  std::string out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < answer.phrases.size(); ++i) {
    const auto& phrase = answer.phrases[i];
    if (phrase.regions.empty() || phrase.begin < at || phrase.end > answer.text.size()) continue;
    out += escape_markup(answer.text.substr(at, phrase.begin - at));
    at = phrase.end;
    std::string words = phrase.text;
    for (const auto& named : phrase.regions) {
      if (phrase.text.empty()) words += (words.empty() ? "" : " ") + std::to_string(named.region);
    }
    out += "<span class=\"phrase\" role=\"button\" tabindex=\"0\" data-phrase=\"" +
           std::to_string(i) + "\" style=\"--c:" + css(colors[i]) + "\">" + escape_markup(words) +
           "</span>" + (phrase.text.empty() ? " " : "");
  }
  return out + escape_markup(answer.text.substr(at));
}

}  // namespace

std::string svg_of(const Image& image, const ImageAnswer& answered) {
  const double unit = unit_of(image);
  const auto width = std::to_string(image.width()), height = std::to_string(image.height());
  const int times = drawing_scale(image);
  const auto colors = phrase_colors(answered.answer.phrases);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                    std::to_string(times * image.width()) + "\" height=\"" +
                    std::to_string(times * image.height()) + "\" viewBox=\"0 0 " + width + " " +
                    height + "\">\n<title>" + escape_markup(answered.prompt) + "</title>\n<desc>" +
                    escape_markup(answered.answer.text) + "</desc>\n<image width=\"" + width +
                    "\" height=\"" + height + "\" href=\"" + picture_address(image) + "\"/>\n";
  std::vector<Box> taken;
  std::string labels;  // last: none disappears behind a box
  for (std::size_t i = 0; i < answered.answer.phrases.size(); ++i) {
    const auto& phrase = answered.answer.phrases[i];
    const auto color = css(colors[i]);
    for (const auto& named : phrase.regions) {
      const auto stroke = [&](const std::string& ink, double line) {
        return "fill=\"none\" stroke=\"" + ink + "\" stroke-width=\"" + number(line * unit) + "\"";
      };
      out += "<g>" + described(phrase, named) + mask_path(answered, named, color) +
             rectangle(named.box, stroke("#141414", 4.5)) + rectangle(named.box, stroke(color, 3)) +
             "</g>\n";
      labels += label(named.box, image, region_label(phrase, named), 16 * unit,
                      "fill=\"" + color +
                          "\" stroke=\"#141414\" paint-order=\"stroke\" font-weight=\"600\" "
                          "font-family=\"system-ui,sans-serif\"",
                      taken) +
                '\n';
    }
  }
  return out + pointed_boxes(image, answered) + labels + "</svg>\n";
}

std::string web_page_of(const Image& image, const ImageAnswer& answered) {
  const auto size = " width=\"" + std::to_string(image.width()) + "\" height=\"" +
                    std::to_string(image.height()) + "\"";
  // As large as it is, but neither wider than the window nor much of its height.
  const auto room = "width:min(100%,max(20rem," + std::to_string(image.width()) + "px),calc(75vh*" +
                    number(static_cast<double>(image.width()) / image.height()) + "))";
  return std::string("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n") +
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
         escape_markup(answered.prompt) + "</title>\n" + kStyle +
         "</head>\n<body>\n<div class=\"shot\" style=\"" + room + "\"><img alt=\"" +
         escape_markup(answered.file) + "\"" + size + " src=\"" + picture_address(image) + "\">" +
         overlay(image, answered) + "</div>\n<p class=\"question\">" +
         escape_markup(answered.prompt) + "</p>\n<p class=\"answer\">" +
         marked_text(answered.answer) + "</p>\n" + kScript + "</body>\n</html>\n";
}

Image drawn(const Image& image, const ImageAnswer& answered) {
  std::vector<std::pair<Box, std::string>> pointed_at;
  for (const auto& referent : answered.referents) {
    pointed_at.emplace_back(referent.box, referent.name);
  }
  return draw_answer(image, answered.answer, answered.masks, pointed_at, drawing_scale(image));
}

void save_answer(const std::string& path, const Image& image, const ImageAnswer& answered) {
  const auto extension = io::lower_extension(path);
  if (extension == ".svg") {
    io::write_file(path, svg_of(image, answered));
  } else if (extension == ".html") {
    io::write_file(path, web_page_of(image, answered));
  } else {
    drawn(image, answered).save(path);
  }
}

}  // namespace groma
