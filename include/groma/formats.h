#pragma once

#include <map>
#include <string>
#include <vector>

#include "groma/confidence.h"
#include "groma/groma.h"
#include "groma/pointing.h"

namespace groma {

/// What other tools read.
enum class Format {
  kJson,  ///< one line an image: everything; `read_answers` reads it again
  /// instances.json, a category for each different phrase; `score` is the confidence, the
  /// proposal's where no token named the region
  kCoco,
  kYolo,      ///< labels/*.txt, classes.txt, data.yaml
  kLabelMe,   ///< a json file an image
  kCsv,       ///< a row for each pair of phrase and box, with a header
  kKosmos,    ///< the text of Kosmos-2: <phrase>, <object>, 32 x 32 patches
  kFlorence,  ///< the text of Florence-2: phrases, each followed by its <loc_0> to <loc_999>
};

/// What was pointed at in a question.
struct Referent {
  std::string name;       ///< as the user calls it, may be empty
  Box box;                ///< pixels
  bool own = false;       ///< the shape's own box: no region explained it
  float score = 0;        ///< of the region, [0, 1]
  float fit = 0;          ///< see `Pointed`
  std::vector<Fit> next;  ///< regions that came after it, by number
};

/// An answer with the image that it speaks of.
struct ImageAnswer {
  std::string file;  ///< of the image, as the reader of the format shall look for it
  int width = 0;     ///< pixels
  int height = 0;    ///< pixels
  std::string prompt;
  ChatResult answer;
  std::vector<Referent> referents = {};
  std::map<int, Mask> masks = {};  ///< of regions, by number
  Calibration calibration = {};    ///< that confidences are written by
};

/// A text and the file it belongs in, relative to a folder of the caller's choice.
struct TextFile {
  std::string name;
  std::string text;
};

/// Finds a mask for every region that the answer names, see `segment`.
void add_masks(ImageAnswer& answer, const Image& image);

/// Writes answers in a format, with the masks that there are: as runs in `kJson` and `kCoco`, as
/// outlines in `kYolo` (of the largest part) and `kLabelMe` (a shape for each part).
///
/// Text that no region belongs to is in `kJson` and `kKosmos` alone.
/// wordless  the label of regions that no phrase stands for
/// returns   one file, or several where the format asks for that
std::vector<TextFile> to_format(const std::vector<ImageAnswer>& answers, Format format,
                                const std::string& wordless = "object");

/// Reads answers that were written as `kJson`. Timings, referents and masks are not kept.
///
/// name      stands for the text in messages
/// throws    Error when the text is not such lines
std::vector<ImageAnswer> read_answers(const std::string& json_lines, const std::string& name);

/// The image with the answer's boxes, labels and masks, and with what was pointed at.
Image drawn(const Image& image, const ImageAnswer& answer);

/// Draws an answer: .png, .jpg and .webp with boxes and labels; .svg; .html, one page with the
/// image, whose phrases light up their boxes.
///
/// throws    Error when the name ends otherwise or the file cannot be written
void save_answer(const std::string& path, const Image& image, const ImageAnswer& answer);

}  // namespace groma
