#include <algorithm>
#include <vector>

#include "answer/grounding.h"
#include "answer/typed_shape.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "groma/formats.h"
#include "io/file.h"
#include "language/piece_table.h"
#include "language/prompt.h"
#include "language/sentencepiece_model.h"
#include "language/stream_decoder.h"
#include "language/tokenizer.h"
#include "language/tokenizers.h"
#include "language/unicode.h"
#include "regions/given_boxes.h"

namespace groma::fuzz {
namespace {

/// The same tokenizers for every input: bytes and learnt pieces, in both modes.
const std::vector<Tokenizer>& tokenizers() {
  static const auto all = [] {
    testing::TokenizerFolder bytes, trained(testing::sentences());
    return std::vector<Tokenizer>{bytes.legacy(false).load(), bytes.legacy(true).load(),
                                  trained.legacy(false).load(), trained.legacy(true).load()};
  }();
  return all;
}

bool is_legacy(const Tokenizer& tokenizer) {
  return &tokenizer == &tokenizers()[1] || &tokenizer == &tokenizers()[3];
}

const Tokenizer& choose(std::string_view& input) { return tokenizers()[take_byte(input) % 4]; }

std::string streamed(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const auto id : ids) text += decoder.feed(id);
  return text + decoder.finish();
}

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

/// Ids of plain text hold nothing but ordinary pieces behind the <s>.
void check_plain(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  promise(!ids.empty() && ids[0] == tokenizer.special().bos, "encoded text begins with <s>");
  for (std::size_t i = 1; i < ids.size(); ++i) {
    promise(!tokenizer.is_control(ids[i]), "what a user types never becomes a control token");
  }
}

}  // namespace

void text(std::string_view input) {
  const auto& tokenizer = choose(input);
  const std::string typed(input);
  auto ids = tokenizer.encode({{typed, false}});
  check_plain(tokenizer, ids);
  ids.erase(ids.begin());
  const auto expected = replace_space_markers(replace_invalid_utf8(typed));
  const auto decoded = tokenizer.decode(ids);
  // The original leaves space markers where the first piece, less its first one, is no piece of the
  // vocabulary; and its legacy mode is not exact about spaces.
  const auto seen = replace_space_markers(decoded);
  const bool same =
      is_legacy(tokenizer) ? without_spaces(seen) == without_spaces(expected) : seen == expected;
  promise(same, "encoded text is decoded to itself");
  promise(valid_utf8(streamed(tokenizer, ids)), "streamed text is UTF-8");
  const auto tagged = tokenizer.encode_tagged(typed);
  promise(valid_utf8(tokenizer.decode(tagged)), "decoded text is UTF-8");
  std::string joined;
  for (const auto& piece : tokenizer.decode_pieces(tagged)) joined += piece.text;
  promise(joined == tokenizer.decode(tagged), "pieces of decoded text are that text");
}

/// The number of regions, then two bytes for each token.
void answer(std::string_view input) {
  const auto& tokenizer = choose(input);
  const std::vector<Region> regions(take_byte(input) % 16);
  std::vector<int64_t> ids;
  while (!input.empty()) {
    const int high = take_byte(input);
    const int number = high << 8 | take_byte(input);
    // More often the tokens that make the structure of an answer.
    const auto added = tokenizer.size() - tokenizer.vocabulary();
    ids.push_back(number % 2 ? number / 2 % tokenizer.size()
                             : tokenizer.vocabulary() + number / 2 % added);
  }
  const auto parsed = parse_answer(tokenizer, ids, std::vector<float>(ids.size(), -0.5f), regions);
  promise(valid_utf8(parsed.text), "the text of an answer is UTF-8");
  promise(parsed.text == streamed(tokenizer, ids), "the text is what was streamed");
  std::size_t last = 0;
  for (const auto& phrase : parsed.phrases) {
    promise(phrase.begin <= phrase.end && phrase.end <= parsed.text.size(),
            "spans lie inside the text");
    promise(last <= phrase.begin, "phrases come in order and do not overlap");
    last = phrase.end;
    promise(parsed.text.substr(phrase.begin, phrase.end - phrase.begin) == phrase.text,
            "a phrase's text is that of its span");
    promise(valid_utf8(phrase.text), "spans do not cut characters");
    promise(!phrase.text.empty() || !phrase.regions.empty(), "a phrase says something");
    for (const auto& named : phrase.regions) {
      promise(named.region >= 0 && named.region < static_cast<int>(regions.size()),
              "an answer names only regions that exist");
    }
  }
}

/// Width, height and flags, then boxes, one a line, an empty line, and the prompt.
void question(std::string_view input) {
  const auto& tokenizer = choose(input);
  const int width = take_byte(input) + 1, height = take_byte(input) + 1;
  const bool grounded = take_byte(input) % 2 != 0;
  const auto picture = gray_picture(width, height);
  std::vector<Box> boxes;
  while (!input.empty()) {
    const auto line = take_part(input, "\n");
    if (line.empty()) break;
    accepted([&] {
      boxes.push_back(box_of(parse_shape(TypedShape::Kind::kBox, std::string(line)), picture));
    });
  }
  const std::string typed(input);
  accepted([&] {
    validate_boxes(boxes, width, height);
    for (const auto& box : boxes) {
      promise(box.x1 >= 0 && box.y1 >= 0 && box.x1 < box.x2 && box.y1 < box.y2 &&
                  box.x2 <= static_cast<float>(width) && box.y2 <= static_cast<float>(height),
              "a box lies inside the picture");
    }
    const auto count = static_cast<int64_t>(boxes.size());
    const auto asked = user_question(typed, count, grounded);
    const auto ids = tokenizer.encode(conversation({{asked, {}, {}}}));
    const auto named = std::count(ids.begin(), ids.end(), tokenizer.special().refer_box);
    promise(named == 0 || named == count, "there is a box for every <box>");
    const auto& special = tokenizer.special();
    promise(std::count(ids.begin(), ids.end(), special.image) == 1 &&
                std::count(ids.begin(), ids.end(), special.region) == 1,
            "a prompt cannot show a second picture");
    promise(std::count(ids.begin(), ids.end(), special.bos) == 1 &&
                std::count(ids.begin(), ids.end(), special.eos) == 1,
            "a prompt cannot end itself");
    const auto named_regions = std::count_if(ids.begin(), ids.end(), [&](int64_t id) {
      return id >= special.region_first && id < special.region_first + special.region_count;
    });
    promise(named_regions == 0, "a prompt cannot name regions by their tokens");
    const int64_t regions = std::min<int64_t>(named + 2, special.region_count);
    std::vector<int64_t> matches;
    for (int64_t i = 0; i < named; ++i) matches.push_back(i % std::max<int64_t>(regions, 1));
    const auto prompt = expand_prompt(ids, special, 4, regions, matches);
    promise(prompt.ids.size() == prompt.feature_of.size(), "every position has its feature");
    for (const auto feature : prompt.feature_of) {
      promise(feature >= -5 && feature < regions, "every feature exists");
    }
  });
}

/// Lines as --format json writes them.
void answers(std::string_view input) {
  accepted([&] {
    for (const auto& read : read_answers(std::string(input), "fuzz")) {
      for (const auto& phrase : read.answer.phrases) {
        promise(phrase.begin <= phrase.end && phrase.end <= read.answer.text.size(),
                "spans lie inside the text");
        for (const auto& named : phrase.regions) {
          promise(named.region >= 0 &&
                      static_cast<std::size_t>(named.region) < read.answer.regions.size(),
                  "every region exists");
        }
      }
    }
  });
}

void sentencepiece(std::string_view input) {
  accepted([&] {
    const auto bytes = serialize(parse_sentencepiece(input, "fuzz"));
    promise(serialize(parse_sentencepiece(bytes, "fuzz")) == bytes,
            "a tokenizer.model survives being written");
  });
}

/// The three json files, each ended by a zero byte, then tokenizer.model or nothing for a good one.
void tokenizer(std::string_view input) {
  static const std::string good = [] {
    testing::TokenizerFolder folder;
    return testing::read_bytes(folder.path() + "/tokenizer.model");
  }();
  const std::string_view zero("\0", 1);
  for (const char* name :
       {"added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    write_scratch(name, take_part(input, zero));
  }
  write_scratch("tokenizer.model", input.empty() ? std::string_view(good) : input);
  accepted([&] {
    const auto tokenizer = Tokenizer::load(scratch_folder());
    std::string typed = "a <r3> </s>\xff\u2581 1";
    for (int64_t id = 0; id < std::min<int64_t>(tokenizer.size(), 400); id += 7) {
      typed += tokenizer.decode({id});
    }
    const auto ids = tokenizer.encode({{typed, false}});
    for (const auto id : ids) {
      promise(id >= 0 && id < tokenizer.size(), "ids lie inside the vocabulary");
      // A vocabulary without bytes has no other word for a character that it lacks.
      promise(!tokenizer.is_added(id) || id == tokenizer.special().bos ||
                  id == tokenizer.special().eos || id == tokenizer.special().unk,
              "what a user types never becomes an added token");
    }
    tokenizer.decode(ids);
    tokenizer.decode(tokenizer.encode_tagged(typed), true);
    streamed(tokenizer, ids);
  });
}

}  // namespace groma::fuzz
