#include "language/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <unordered_set>

#include "check.h"
#include "io/file.h"
#include "io/json.h"
#include "language/unicode.h"

namespace groma {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestModel = 64u << 20;  // bytes
constexpr std::size_t kLongestToken = 256;        // bytes
constexpr std::size_t kMostAdded = 100'000;
constexpr std::array kRoles = {"bos_token", "eos_token", "unk_token",  "sep_token",
                               "pad_token", "cls_token", "mask_token", "additional_special_tokens"};

/// A JSON object of settings and the file it comes from.
struct Settings {
  json values = json::object();
  std::string name;

  /// A flag; `fallback` where it is absent or null.
  bool flag(const char* key, bool fallback) const {
    const auto found = values.find(key);
    if (found == values.end() || found->is_null()) return fallback;
    require(found->is_boolean(), "read ", name, ": ", key, " is ",
            io::quote(found->dump(-1, ' ', false, json::error_handler_t::replace), 40),
            ", expected true or false");
    return found->get<bool>();
  }
};

Settings read_settings(const std::filesystem::path& directory, const char* file) {
  const auto path = directory / file;
  Settings settings{json::object(), path.string()};
  if (!std::filesystem::exists(path)) return settings;
  settings.values = io::read_json(path.string());
  require(settings.values.is_object(), "read ", settings.name,
          ": it holds no JSON object; copy the file again");
  return settings;
}

std::string token_text(const json& value, const std::string& name) {
  require(value.is_string(), "read ", name, ": a token is not a string; copy the file again");
  const auto& text = value.get_ref<const std::string&>();
  require(!text.empty() && text.size() <= kLongestToken && valid_utf8(text), "read ", name,
          ": token ", io::quote(text, 40), " has ", text.size(), " bytes, expected text of 1 to ",
          kLongestToken);
  return text;
}

RoleToken role_token(const std::string& role, const json& value, bool described,
                     const std::string& name) {
  if (!value.is_object()) {
    return {role, token_text(value, name), !described, !described, described};
  }
  const Settings settings{value, name};
  require(value.contains("content"), "read ", name, ": ", role, " has no content");
  return {role, token_text(value["content"], name), settings.flag("lstrip", false),
          settings.flag("rstrip", false), true};
}

/// Takes the roles that `settings` names; a later file outweighs an earlier one.
void read_roles(const Settings& settings, bool is_config, std::vector<RoleToken>& roles) {
  for (const std::string role : kRoles) {
    const auto found = settings.values.find(role);
    if (found == settings.values.end() || found->is_null()) continue;
    std::erase_if(roles, [&](const RoleToken& token) { return token.role == role; });
    const bool many = found->is_array();
    require(many == (role == kRoles.back()), "read ", settings.name, ": ", role, " is ",
            many ? "a list" : "one token", "; copy the file again");
    // LlamaTokenizer describes these four itself when tokenizer_config.json gives their text.
    const bool described =
        is_config && role != "sep_token" && role != "cls_token" && role != "mask_token" && !many;
    for (const auto& value : many ? *found : json::array({*found})) {
      roles.push_back(role_token(role, value, described, settings.name));
    }
  }
}

void refuse_unsupported(const Settings& config) {
  const auto sampling = config.values.find("sp_model_kwargs");
  require(sampling == config.values.end() || sampling->empty(), "read ", config.name,
          ": sp_model_kwargs is not empty, which is not supported; remove it");
  for (const auto* key : {"clean_up_tokenization_spaces", "split_special_tokens"}) {
    require(!config.flag(key, false), "read ", config.name, ": ", key,
            " is true, which is not supported; set it to false");
  }
}

void collect(std::map<int64_t, std::string>& added, int64_t id, const std::string& text,
             const std::string& name) {
  const auto [place, is_new] = added.emplace(id, text);
  require(is_new || place->second == text, "read ", name, ": id ", id, " belongs to ",
          io::quote(text, 40), " and to ", io::quote(place->second, 40),
          "; take all files from one release");
  require(added.size() <= kMostAdded, "read ", name, ": more than ", kMostAdded, " added tokens");
}

/// Added tokens of added_tokens.json and of tokenizer_config.json, by id.
std::map<int64_t, std::string> collect_added(const Settings& config, const Settings& file) {
  std::map<int64_t, std::string> added;
  for (const auto& [text, id] : file.values.items()) {
    require(io::holds_whole<int64_t>(id), "read ", file.name, ": the id of ", io::quote(text, 40),
            " is not a whole number");
    collect(added, id.get<int64_t>(), token_text(text, file.name), file.name);
  }
  const auto decoder = config.values.find("added_tokens_decoder");
  if (decoder == config.values.end() || decoder->is_null()) return added;
  require(decoder->is_object(), "read ", config.name, ": added_tokens_decoder is not an object");
  for (const auto& [key, value] : decoder->items()) {
    const bool digits =
        !key.empty() && key.size() < 10 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    require(digits, "read ", config.name, ": added_tokens_decoder names the id ",
            io::quote(key, 40), ", expected a whole number");
    collect(added, std::stoll(key), role_token("token", value, false, config.name).text,
            config.name);
  }
  return added;
}

/// Ids that follow the sentencepiece vocabulary without a gap, as the original asks for.
std::vector<std::string> order_added(const std::map<int64_t, std::string>& added,
                                     const SentencePieceModel& model, const std::string& name) {
  std::unordered_set<std::string_view> seen;
  for (const auto& piece : model.pieces) seen.insert(piece.text);
  const auto pieces = static_cast<int64_t>(model.pieces.size());
  std::vector<std::string> ordered;
  for (const auto& [id, text] : added) {
    // Newer files list <unk>, <s> and </s> too.
    if (id >= 0 && id < pieces && model.pieces[id].text == text) continue;
    const auto next = pieces + static_cast<int64_t>(ordered.size());
    require(id == next, "load ", name, ": added token ", io::quote(text, 40), " has id ", id,
            ", expected ", next, " (tokenizer.model holds ", pieces,
            " pieces); take all files from one release");
    require(seen.insert(text).second, "load ", name, ": added token ", io::quote(text, 40),
            " has two ids; take all files from one release");
    ordered.push_back(text);
  }
  return ordered;
}

}  // namespace

TokenizerFiles read_tokenizer_files(const std::string& directory) {
  const std::filesystem::path folder(directory);
  const auto model_path = (folder / "tokenizer.model").string();
  const auto config = read_settings(folder, "tokenizer_config.json");
  const auto special = read_settings(folder, "special_tokens_map.json");
  const auto added = read_settings(folder, "added_tokens.json");
  refuse_unsupported(config);

  TokenizerFiles files;
  files.model = parse_sentencepiece(io::read_regular_file(model_path, kLargestModel), model_path);
  files.legacy = config.flag("legacy", true);
  files.add_bos = config.flag("add_bos_token", true);
  files.add_eos = config.flag("add_eos_token", false);
  files.roles = {{"bos_token", "<s>", false, false, true},
                 {"eos_token", "</s>", false, false, true},
                 {"unk_token", "<unk>", false, false, true}};
  read_roles(config, true, files.roles);
  read_roles(special, false, files.roles);
  std::stable_sort(files.roles.begin(), files.roles.end(), [](const auto& a, const auto& b) {
    return std::find(kRoles.begin(), kRoles.end(), a.role) <
           std::find(kRoles.begin(), kRoles.end(), b.role);
  });
  files.added = order_added(collect_added(config, added), files.model, io::quote(directory));
  std::unordered_set<std::string> known(files.added.begin(), files.added.end());
  for (const auto& piece : files.model.pieces) known.insert(piece.text);
  for (const auto& token : files.roles) {
    if (known.insert(token.text).second) files.added.push_back(token.text);
  }
  return files;
}

}  // namespace groma
