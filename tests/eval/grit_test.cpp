// GRIT's captions: every phrase with all its boxes.

#include <gtest/gtest.h>

#include "eval/annotations.h"
#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;

constexpr const char* kGrit =
    R"([{"clip_similarity": 0.3, "caption": "A café, two dogs", "filename": "00/7.jpg", "noun_chunks":
 [[0, 6, 0, 0, 1, 1, 0.9]], "ref_exps": [[8, 16, 0.125, 0.25, 0.5, 0.75, 0.9], [0.0, 6.0, 0, 0, 1, 1],
 [8, 16, 0.5, 0.25, 1, 0.5, 0.8]]}])";

Dataset read(const std::string& text) {
  AnnotationFile file;
  file.path = "grit.json";
  file.allow_fractions = true;
  return read_annotations(text, file);
}

std::string refusal(const std::string& from, const std::string& to) {
  std::string text = kGrit;
  text.replace(text.find(from), from.size(), to);
  return message_of([&] { read(text); });
}

TEST(Grit, PhrasesComeWithAllTheirBoxes) {
  const Dataset data = read(kGrit);
  EXPECT_EQ(data.format, Format::kGrit);
  EXPECT_TRUE(data.fractions);
  ASSERT_EQ(data.entries.size(), 2u);
  EXPECT_EQ(data.entries[0].label(), "0.0");
  EXPECT_EQ(data.entries[0].image, "00/7.jpg");
  EXPECT_EQ(data.entries[0].text, "two dogs");
  EXPECT_EQ(data.entries[0].task, Task::kGround);
  EXPECT_EQ(data.entries[1].text, "A caf\u00e9");
  ASSERT_EQ(data.annotations.size(), 3u);
  EXPECT_EQ(data.annotations[0].bbox, (XywhBox{0.125, 0.25, 0.375, 0.5}));
  EXPECT_EQ(data.annotations[2].entry, 0u);
}

TEST(Grit, MistakesNameTheRecord) {
  EXPECT_TRUE(holds(refusal("[8, 16, 0.125", "[8, 17, 0.125"),
                    "'grit.json': [0]: ref_exps: found the range 8 to 17 of a caption of 16"));
  EXPECT_TRUE(holds(refusal("[8, 16, 0.125", "[8.5, 16, 0.125"), "the range 8.5 to 16"));
  EXPECT_TRUE(holds(refusal("0.5, 0.75, 0.9]", "0.1, 0.75, 0.9]"), "found a box of width -0.025"));
  EXPECT_TRUE(holds(refusal(", 0, 0, 1, 1],", ", 0, 0, 1],"), "[0].ref_exps[1]: found 5 numbers"));
  EXPECT_TRUE(holds(refusal("\"filename\": \"00/7.jpg\",", ""), "[0]: no 'filename'"));
  AnnotationFile file;
  file.path = "grit.json";
  EXPECT_TRUE(holds(message_of([&] { read_annotations(std::string_view(kGrit), file); }),
                    "boxes in parts of pictures"));
}

}  // namespace
}  // namespace groma::eval
