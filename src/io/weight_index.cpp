#include "io/weight_index.h"

#include <nlohmann/json.hpp>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma::io {
namespace {

constexpr std::size_t kMostIndexBytes = 64'000'000;

bool is_plain_name(const std::string& name, const std::string& extension) {
  return name.find('/') == std::string::npos && name.find('\\') == std::string::npos &&
         name.find('\0') == std::string::npos && name.front() != '.' && name.ends_with(extension);
}

}  // namespace

std::map<std::string, std::vector<std::string>> read_weight_index(const std::string& path,
                                                                  const std::string& extension) {
  const auto index = read_json(path, kMostIndexBytes);
  const auto where = "read " + quote(path) + ": ";
  require(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
          where, "no object 'weight_map'; get the index again");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    require(file.is_string(), where, "the file of tensor ", quote(tensor),
            " is not text; get the index again");
    const auto name = file.get<std::string>();
    require(!name.empty() && is_plain_name(name, extension), where, "tensor ", quote(tensor),
            " is said to be in ", quote(name), ", expected the name of a ", extension,
            " file in the same folder; get the index again");
    shards[name].push_back(tensor);
  }
  require(!shards.empty(), where, "'weight_map' is empty; get the index again");
  return shards;
}

}  // namespace groma::io
