#pragma once

#include <string_view>

// What a hostile file, prompt or option can reach, one function a kind of input.
//
// Each takes any bytes and returns when the program would have carried on or refused with an Error.
// Anything else ends the process: a fault, another exception, or a broken promise (see `promise`).

namespace groma::fuzz {

void annotations(std::string_view input);
void answer(std::string_view input);
void answers(std::string_view input);
void archive(std::string_view input);
void captions(std::string_view input);
void config(std::string_view input);
void conversations(std::string_view input);
void image(std::string_view input);
void pointing(std::string_view input);
void question(std::string_view input);
void recipe(std::string_view input);
void records(std::string_view input);
void safetensors(std::string_view input);
void saved_session(std::string_view input);
void sentencepiece(std::string_view input);
void text(std::string_view input);
void tokenizer(std::string_view input);
void unpickle(std::string_view input);
void weight_index(std::string_view input);

struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
};

inline constexpr Target kTargets[] = {{"annotations", annotations},
                                      {"answer", answer},
                                      {"answers", answers},
                                      {"archive", archive},
                                      {"captions", captions},
                                      {"config", config},
                                      {"conversations", conversations},
                                      {"image", image},
                                      {"pointing", pointing},
                                      {"question", question},
                                      {"recipe", recipe},
                                      {"records", records},
                                      {"safetensors", safetensors},
                                      {"saved_session", saved_session},
                                      {"sentencepiece", sentencepiece},
                                      {"text", text},
                                      {"tokenizer", tokenizer},
                                      {"unpickle", unpickle},
                                      {"weight_index", weight_index}};

}  // namespace groma::fuzz
