#include "train/worlds/pictograms.h"

#include <ft2build.h>
#include FT_FREETYPE_H

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <memory>
#include <opencv2/core.hpp>
#include <sstream>

#include "check.h"

namespace groma::train {
namespace {

constexpr const char* kUsualPlaces[] = {
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",      // Debian, Ubuntu
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",               // Arch
    "/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf",  // Fedora
    "/usr/share/fonts/noto-emoji/NotoColorEmoji.ttf"};        // Alpine

struct CloseLibrary {
  void operator()(FT_Library library) const { FT_Done_FreeType(library); }
};
struct CloseFace {
  void operator()(FT_Face face) const { FT_Done_Face(face); }
};
using Library = std::unique_ptr<FT_LibraryRec_, CloseLibrary>;
using Face = std::unique_ptr<FT_FaceRec_, CloseFace>;

std::string code_point(std::uint32_t character) {
  std::ostringstream text;
  text << "U+" << std::uppercase << std::hex << std::setw(4) << std::setfill('0') << character;
  return text.str();
}

/// FreeType gives B, G, R multiplied by alpha.
cv::Mat straight_rgba(const FT_Bitmap& bitmap) {
  const auto height = static_cast<int>(bitmap.rows);
  const auto width = static_cast<int>(bitmap.width);
  cv::Mat picture(height, width, CV_8UC4);
  for (int y = 0; y < height; ++y) {
    const unsigned char* source = bitmap.buffer + static_cast<std::ptrdiff_t>(y) * bitmap.pitch;
    for (int x = 0; x < width; ++x, source += 4) {
      const int alpha = source[3];
      auto& pixel = picture.at<cv::Vec4b>(y, x);
      for (int c = 0; c < 3; ++c) {
        const int value = alpha == 0 ? 0 : source[2 - c] * 255 / alpha;
        pixel[c] = static_cast<uchar>(std::min(value, 255));
      }
      pixel[3] = static_cast<uchar>(alpha);
    }
  }
  return picture;
}

cv::Mat without_margins(const cv::Mat& picture) {
  cv::Mat alpha;
  cv::extractChannel(picture, alpha, 3);
  std::vector<cv::Point> opaque;
  cv::findNonZero(alpha > 8, opaque);
  if (opaque.empty()) return {};
  cv::Point low = opaque[0];
  cv::Point high = opaque[0];
  for (const auto& p : opaque) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  return picture(cv::Rect(low, high + cv::Point(1, 1))).clone();
}

}  // namespace

std::string emoji_font(const std::string& path) {
  if (!path.empty()) return path;
  if (const char* named = std::getenv("GROMA_EMOJI_FONT"); named != nullptr && *named != '\0') {
    return named;
  }
  for (const char* place : kUsualPlaces) {
    if (std::filesystem::exists(place)) return place;
  }
  require(false, "draw things: no colour font at '", kUsualPlaces[0],
          "' or the other usual places; install the package fonts-noto-color-emoji or set "
          "GROMA_EMOJI_FONT to the path of NotoColorEmoji.ttf");
  return {};
}

std::vector<cv::Mat> read_pictograms(const std::string& font,
                                     const std::vector<std::uint32_t>& characters) {
  const std::string doing = "read the font '" + font + "': ";
  FT_Library opened = nullptr;
  require(FT_Init_FreeType(&opened) == 0, doing, "FreeType does not start; check its installation");
  const Library library(opened);
  FT_Face loaded = nullptr;
  require(FT_New_Face(library.get(), font.c_str(), 0, &loaded) == 0, doing,
          "missing or no font; install the package fonts-noto-color-emoji");
  const Face face(loaded);
  require(
      FT_HAS_COLOR(face.get()) && face->num_fixed_sizes > 0 && FT_Select_Size(face.get(), 0) == 0,
      doing, "no coloured bitmaps in it; take NotoColorEmoji.ttf of fonts-noto-color-emoji");

  std::vector<cv::Mat> pictures;
  for (const std::uint32_t character : characters) {
    const FT_UInt glyph = FT_Get_Char_Index(face.get(), character);
    const bool found = glyph != 0 && FT_Load_Glyph(face.get(), glyph, FT_LOAD_COLOR) == 0 &&
                       face->glyph->bitmap.pixel_mode == FT_PIXEL_MODE_BGRA;
    cv::Mat picture;
    if (found) picture = without_margins(straight_rgba(face->glyph->bitmap));
    require(!picture.empty(), doing, "no coloured bitmap of ", code_point(character),
            "; take a NotoColorEmoji.ttf of 2022 or later");
    pictures.push_back(picture);
  }
  return pictures;
}

}  // namespace groma::train
