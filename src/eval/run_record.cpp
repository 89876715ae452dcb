#include "eval/run_record.h"

#include <algorithm>
#include <ctime>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma::eval {
namespace {

struct ProtocolName {
  const char* name;
  Protocol protocol;
};
constexpr std::array<ProtocolName, 5> kProtocols = {{{"rec", Protocol::kRec},
                                                     {"lvis-ground", Protocol::kLvisGround},
                                                     {"caption", Protocol::kCaption},
                                                     {"proposals", Protocol::kProposals},
                                                     {"grounded-chat", Protocol::kGroundedChat}}};

constexpr std::array<std::pair<const char*, RecRule>, 3> kRules = {
    {{"groma", RecRule::kGroma}, {"mdetr", RecRule::kMdetr}, {"ferret", RecRule::kFerret}}};

/// A field of run.json, of the type asked for.
template <typename Value, typename Object>
Value field(const Object& object, const char* name, const std::string& path) {
  const auto found = object.find(name);
  require(found != object.end(), "read ", io::quote(path), ": no '", name,
          "'; the file was not written by groma eval run");
  try {
    return io::value_as<Value>(*found);
  } catch (const nlohmann::json::exception&) {
    require(false, "read ", io::quote(path), ": ", name, ": found ", found->type_name());
    throw;
  }
}

/// The same; `missing` where there is no such field.
template <typename Value, typename Object>
Value field_or(const Object& object, const char* name, const Value& missing,
               const std::string& path) {
  return object.contains(name) ? field<Value>(object, name, path) : missing;
}

/// What the functions of RunRecord take from the identity is there and of the right type.
void check_identity(const Json& identity, const std::string& path) {
  require(identity.is_object(), "read ", io::quote(path), ": identity: expected an object");
  protocol_named(field<std::string>(identity, "protocol", path));
  field_or<std::uint64_t>(identity, "seed", 0, path);
  field_or<std::size_t>(identity, "limit", 0, path);
  if (field_or<std::string>(identity, "prompt_index", "", path) != "all") return;
  require(identity.contains("prompts") && identity["prompts"].is_array(), "read ", io::quote(path),
          ": identity: no list 'prompts'");
}

}  // namespace

Protocol protocol_named(const std::string& name) {
  std::string all;
  for (const ProtocolName& known : kProtocols) {
    if (name == known.name) return known.protocol;
    all += (all.empty() ? "" : ", ") + std::string(known.name);
  }
  require(false, "choose a protocol: found ", io::quote(name), ", expected one of ", all);
  return Protocol::kRec;
}

std::string name_of(Protocol protocol) {
  for (const ProtocolName& known : kProtocols) {
    if (protocol == known.protocol) return known.name;
  }
  return "";
}

std::string name_of(RecRule rule) {
  for (const auto& [name, known] : kRules) {
    if (rule == known) return name;
  }
  return "";
}

Protocol RunRecord::protocol() const {
  return protocol_named(identity.at("protocol").get<std::string>());
}

std::uint64_t RunRecord::seed() const { return identity.value("seed", std::uint64_t{0}); }

std::size_t RunRecord::limit() const { return identity.value("limit", std::size_t{0}); }

int RunRecord::prompts_each() const {
  if (identity.value("prompt_index", std::string()) != "all") return 1;
  return static_cast<int>(identity.at("prompts").size());
}

Json RunRecord::to_json() const {
  Json out;
  out["protocol"] = identity.at("protocol");
  if (protocol() == Protocol::kRec) out["rule"] = name_of(rule);
  if (protocol() == Protocol::kLvisGround) out["as_many"] = as_many_cut ? "cut" : "all";
  out["annotations"] = {{"path", annotations.path},
                        {"format", name_of(annotations.format)},
                        {"instances", annotations.instances},
                        {"split", annotations.split},
                        {"allow_google", annotations.allow_google}};
  out["images"] = images;
  out["model"] = model;
  out["shard"] = {shard, shards};
  out["identity"] = identity;
  out["start"] = start;
  out["end"] = end.empty() ? Json(nullptr) : Json(end);
  return out;
}

RunRecord read_run_record(const std::string& path) {
  const nlohmann::json file = io::read_json(path);
  require(file.is_object(), "read ", io::quote(path), ": expected an object");
  RunRecord out;
  out.identity = Json::parse(field<nlohmann::json>(file, "identity", path).dump());
  check_identity(out.identity, path);
  const auto annotations = field<nlohmann::json>(file, "annotations", path);
  require(annotations.is_object(), "read ", io::quote(path), ": annotations: expected an object");
  out.annotations.path = field<std::string>(annotations, "path", path);
  const std::string none;
  out.annotations.format = format_named(field_or<std::string>(annotations, "format", "auto", path));
  out.annotations.instances = field_or(annotations, "instances", none, path);
  out.annotations.split = field_or(annotations, "split", none, path);
  out.annotations.allow_google = field_or(annotations, "allow_google", false, path);
  const auto shard = field<std::vector<int>>(file, "shard", path);
  require(shard.size() == 2 && shard[0] >= 0 && shard[0] < shard[1], "read ", io::quote(path),
          ": shard: expected [number, count]");
  out.shard = shard[0];
  out.shards = shard[1];
  out.images = field<std::vector<std::string>>(file, "images", path);
  out.model = field<std::string>(file, "model", path);
  if (file.contains("rule")) {
    const auto name = field<std::string>(file, "rule", path);
    const auto known = std::find_if(kRules.begin(), kRules.end(),
                                    [&](const auto& one) { return name == one.first; });
    require(known != kRules.end(), "read ", io::quote(path), ": rule: found ", io::quote(name),
            ", expected groma, mdetr or ferret");
    out.rule = known->second;
  }
  if (file.contains("as_many")) {
    out.as_many_cut = field<std::string>(file, "as_many", path) == "cut";
  }
  out.start = field<std::string>(file, "start", path);
  if (file.contains("end") && file["end"].is_string()) out.end = file["end"];
  return out;
}

void write_run_record(const RunRecord& record, const std::string& path) {
  io::write_file(path, record.to_json().dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string first_difference(const Json& a, const Json& b, const std::vector<std::string>& except) {
  const auto shown = [](const Json& object, const std::string& key) {
    if (!object.contains(key)) return std::string("nothing");
    return nlohmann::json::parse(object.at(key).dump()).dump();  // parts in one order
  };
  for (const Json* object : {&a, &b}) {
    for (const auto& item : object->items()) {
      const std::string& key = item.key();
      if (std::find(except.begin(), except.end(), key) != except.end()) continue;
      if (shown(a, key) != shown(b, key))
        return key + ": " + shown(a, key) + " and " + shown(b, key);
    }
  }
  return "";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace groma::eval
