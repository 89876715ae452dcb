#include "image/codecs.h"

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/decode.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "check.h"
#include "io/file.h"

// jpeg, png and webp are read through their own libraries. Through OpenCV damaged jpeg and png
// files come back half grey and without a word, its copies of these libraries print to stderr, and
// a webp that is damaged early is offered to its other decoders, of which that for DICOM ends the
// process.

namespace groma {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Why decoding ended early. Both libraries leave by longjmp, so functions that call them hold no
/// object with a destructor; what they fill is made by their caller.
struct Failure {
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX] = "";
};

struct JpegErrors {
  jpeg_error_mgr base;  // first, so that libjpeg's pointer to it is a pointer to this
  Failure failure;
};

[[noreturn]] void fail_jpeg(j_common_ptr jpeg) {
  auto* errors = reinterpret_cast<JpegErrors*>(jpeg->err);
  errors->base.format_message(jpeg, errors->failure.text);
  std::longjmp(errors->failure.jump, 1);
}

/// libjpeg calls it a warning when pixels are missing and makes some up.
void receive_jpeg_message(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  const bool pixels_lost = code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                           code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC;
  if (level < 0 && pixels_lost) fail_jpeg(jpeg);
}

/// A small file may ask for thousands of passes over a large picture; real ones have about ten.
void limit_jpeg_scans(j_common_ptr jpeg) {
  constexpr int kMaxScans = 500;
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxScans) {
    jpeg->err->msg_code = JERR_BAD_PROGRESSION;
    fail_jpeg(jpeg);
  }
}

/// One row of CMYK as jpeg files hold it (inverted) to RGB, as Pillow converts it.
void convert_cmyk_row(const std::uint8_t* cmyk, int width, std::uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * white + 128;
      rgb[c] = static_cast<std::uint8_t>(white - ((product + (product >> 8)) >> 8));
    }
  }
}

/// Fills `rgb`, which has the size of the header; false with the reason in `errors`.
bool read_jpeg(jpeg_decompress_struct& jpeg, JpegErrors& errors, Bytes bytes, cv::Mat& rgb,
               std::uint8_t* cmyk_row) {
  jpeg_progress_mgr progress = {};
  progress.progress_monitor = limit_jpeg_scans;
  jpeg.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = fail_jpeg;
  errors.base.emit_message = receive_jpeg_message;
  if (setjmp(errors.failure.jump)) {
    jpeg_destroy_decompress(&jpeg);
    return false;
  }
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &progress;
  jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  const bool cmyk = jpeg.num_components == 4;
  jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  if (static_cast<int>(jpeg.output_width) != rgb.cols ||
      static_cast<int>(jpeg.output_height) != rgb.rows) {
    jpeg.err->msg_code = JERR_BAD_LENGTH;
    fail_jpeg(reinterpret_cast<j_common_ptr>(&jpeg));
  }
  while (jpeg.output_scanline < jpeg.output_height) {
    std::uint8_t* row = rgb.ptr(static_cast<int>(jpeg.output_scanline));
    std::uint8_t* target = cmyk ? cmyk_row : row;
    jpeg_read_scanlines(&jpeg, &target, 1);
    if (cmyk) convert_cmyk_row(cmyk_row, rgb.cols, row);
  }
  jpeg_finish_decompress(&jpeg);  // reads on to the end mark
  jpeg_destroy_decompress(&jpeg);
  return true;
}

void decode_jpeg(Bytes bytes, cv::Mat& rgb, const std::string& name) {
  jpeg_decompress_struct jpeg = {};
  JpegErrors errors = {};
  std::vector<std::uint8_t> cmyk_row(std::size_t{4} * rgb.cols);
  require(read_jpeg(jpeg, errors, bytes, rgb, cmyk_row.data()), "open ", io::quote(name),
          ": the jpeg is damaged or cut off (", errors.failure.text,
          "); get the file again, or save it anew with a picture viewer");
}

struct PngSource {
  Bytes left;
  Failure failure;
};

[[noreturn]] void fail_png(png_structp png, png_const_charp text) {
  auto* source = static_cast<PngSource*>(png_get_error_ptr(png));
  std::snprintf(source->failure.text, sizeof source->failure.text, "%s", text);
  std::longjmp(source->failure.jump, 1);
}

void ignore_png_warning(png_structp, png_const_charp) {}

void read_png_bytes(png_structp png, png_bytep target, std::size_t count) {
  auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
  if (count > source->left.size()) png_error(png, "end of file");
  std::memcpy(target, source->left.data(), count);
  source->left = source->left.subspan(count);
}

/// Fills `rows`, which have the size of the header; false with the reason in `source`.
bool read_png(png_structp png, png_infop info, PngSource& source, int width, int height,
              std::vector<png_bytep>& rows) {
  if (setjmp(source.failure.jump)) return false;
  png_set_read_fn(png, &source, read_png_bytes);
  png_read_info(png, info);
  png_set_strip_16(png);
  png_set_palette_to_rgb(png);
  png_set_expand_gray_1_2_4_to_8(png);
  png_set_strip_alpha(png);
  png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_image_width(png, info) != static_cast<png_uint_32>(width) ||
      png_get_image_height(png, info) != static_cast<png_uint_32>(height) ||
      png_get_rowbytes(png, info) != std::size_t{3} * width) {
    png_error(png, "size and header disagree");
  }
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);  // checks the last check sum
  return true;
}

void decode_png(Bytes bytes, cv::Mat& rgb, const std::string& name) {
  PngSource source{bytes, {}};
  std::vector<png_bytep> rows(rgb.rows);
  for (int y = 0; y < rgb.rows; ++y) rows[y] = rgb.ptr(y);
  png_structp png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, fail_png, ignore_png_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool whole = info != nullptr && read_png(png, info, source, rgb.cols, rgb.rows, rows);
  png_destroy_read_struct(&png, &info, nullptr);
  require(whole, "open ", io::quote(name), ": the png is damaged (", source.failure.text,
          "); get the file again");
}

void decode_webp(Bytes bytes, cv::Mat& rgb, const std::string& name) {
  WebPBitstreamFeatures features;
  const bool whole =
      WebPGetFeatures(bytes.data(), bytes.size(), &features) == VP8_STATUS_OK &&
      features.width == rgb.cols && features.height == rgb.rows &&
      WebPDecodeRGBInto(bytes.data(), bytes.size(), rgb.data, rgb.total() * rgb.elemSize(),
                        static_cast<int>(rgb.step)) != nullptr;
  require(whole, "open ", io::quote(name),
          ": the webp is damaged, its pixels cannot be read; get the file again");
}

/// OpenCV chooses its decoder by the first bytes, which are those of a bmp.
void decode_bmp(Bytes bytes, cv::Mat& rgb, const std::string& name) {
  const cv::Mat file(1, static_cast<int>(bytes.size()), CV_8UC1,
                     const_cast<std::uint8_t*>(bytes.data()));
  cv::Mat bgr;
  try {
    bgr = cv::imdecode(file, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  } catch (const cv::Exception&) {
    bgr.release();
  }
  require(bgr.size() == rgb.size(), "open ", io::quote(name),
          ": the bmp is damaged, its pixels cannot be read; get the file again");
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
}

}  // namespace

cv::Mat decode_pixels(Bytes bytes, const ImageHeader& header, const std::string& name) {
  cv::Mat rgb(header.height, header.width, CV_8UC3);
  if (header.kind == ImageKind::kJpeg) {
    decode_jpeg(bytes, rgb, name);
  } else if (header.kind == ImageKind::kPng) {
    decode_png(bytes, rgb, name);
  } else if (header.kind == ImageKind::kWebp) {
    decode_webp(bytes, rgb, name);
  } else {
    decode_bmp(bytes, rgb, name);
  }
  return rgb;
}

std::string encode_picture(const Image& image, const std::string& name) {
  const std::string extension = io::lower_extension(name);
  std::vector<int> options;
  constexpr int kQuality = 95;
  if (extension == ".jpg" || extension == ".jpeg") {
    options = {cv::IMWRITE_JPEG_QUALITY, kQuality};
  } else if (extension == ".webp") {
    options = {cv::IMWRITE_WEBP_QUALITY, kQuality};
  } else {
    require(extension == ".png", "write ", io::quote(name), ": the extension is ",
            io::quote(extension), "; use .png, .jpg, .jpeg or .webp");
  }
  const cv::Mat rgb(image.height(), image.width(), CV_8UC3,
                    const_cast<std::uint8_t*>(image.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<std::uint8_t> bytes;
  bool encoded = false;
  try {
    encoded = cv::imencode(extension, bgr, bytes, options);
  } catch (const cv::Exception&) {
    encoded = false;
  }
  require(encoded && !bytes.empty(), "write ", io::quote(name), ": ", image.width(), " x ",
          image.height(), " pixels cannot be written as ", extension,
          " (webp: at most 16383 a side); use .png");
  return {bytes.begin(), bytes.end()};
}

}  // namespace groma
