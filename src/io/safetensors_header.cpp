#include "io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "check.h"

namespace groma::io {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostHeaderBytes = 100'000'000;
constexpr std::uint64_t kLengthBytes = 8;
constexpr const char* kDamaged = "; the file is damaged or cut short, get it again";
constexpr const char* kNotOurs = "; the file is not in the safetensors format, write it again";

std::uint64_t little_endian_u64(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// One entry of the header as it stands there.
struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

/// Takes the header's JSON events one by one. Only the one shape a header can have is accepted, so
/// nothing nests and nothing is kept that is not a field of an entry.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(std::string where) : where_(std::move(where)) {}

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a truth value"); }
  bool number_float(double, const std::string& text) override {
    return refuse("number " + text.substr(0, 40));
  }
  bool binary(binary_t&) override { return refuse("binary data"); }

  bool number_integer(std::int64_t value) override {
    return refuse("number " + std::to_string(value));
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) {
      return refuse("number " + std::to_string(value));
    }
    auto& list = place_ == Place::kShape ? entry_->shape : entry_->offsets;
    const auto most = place_ == Place::kShape ? kMaxDimensions : 2;
    require(list.size() < most, where_, describe(), " has more than ", most, " numbers", kNotOurs);
    require(value <= std::uint64_t{std::numeric_limits<int64_t>::max()}, where_, describe(),
            " holds ", value, ", which is too large", kDamaged);
    list.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      metadata[field_] = std::move(value);
    } else if (place_ == Place::kEntry && field_ == "dtype") {
      entry_->dtype = std::move(value);
    } else {
      return refuse("text " + quote(value, 40));
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kEntry;
    } else {
      return refuse("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kEntry) {
      require(entry_->has_dtype && entry_->has_shape && entry_->has_offsets, where_, "tensor ",
              quote(name_), " lacks dtype, shape or data_offsets", kNotOurs);
    }
    place_ = Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kEntry || field_ == "dtype") return refuse("a list");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    require(place_ == Place::kShape || entry_->offsets.size() == 2, where_, describe(), " has ",
            entry_->offsets.size(), " numbers, expected 2", kNotOurs);
    place_ = Place::kEntry;
    return true;
  }

  bool key(std::string& value) override {
    if (place_ == Place::kTop) {
      name_ = value;
      bool added = !std::exchange(has_metadata_, has_metadata_ || value == "__metadata__");
      if (value != "__metadata__") {
        const auto place = entries.try_emplace(value);
        entry_ = &place.first->second;
        added = place.second;
      }
      require(added, where_, quote(value), " is named twice", kDamaged);
      return true;
    }
    field_ = value;
    bool fresh = true;
    if (place_ == Place::kMetadata) {
      fresh = metadata.count(value) == 0;
    } else if (value == "dtype") {
      fresh = !std::exchange(entry_->has_dtype, true);
    } else if (value == "shape") {
      fresh = !std::exchange(entry_->has_shape, true);
    } else {
      require(value == "data_offsets", where_, "tensor ", quote(name_), " has a field ",
              quote(value), ", expected dtype, shape and data_offsets", kNotOurs);
      fresh = !std::exchange(entry_->has_offsets, true);
    }
    require(fresh, where_, describe(), " is named twice", kDamaged);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    require(false, where_, "not valid JSON at byte ", position, kDamaged);
    return false;
  }

 private:
  enum class Place { kStart, kTop, kEntry, kMetadata, kShape, kOffsets };

  std::string describe() const {
    if (place_ == Place::kStart) return "the top level";
    if (place_ == Place::kTop) return quote(name_);
    if (place_ == Place::kMetadata) return "__metadata__ " + quote(field_);
    return "tensor " + quote(name_) + ": " + field_;
  }

  std::string expected() const {
    const bool text = place_ == Place::kMetadata || (place_ == Place::kEntry && field_ == "dtype");
    if (text) return "text";
    const bool numbers = place_ != Place::kStart && place_ != Place::kTop;
    return numbers ? "a list of whole numbers from 0" : "an object";
  }

  bool refuse(const std::string& found) {
    require(false, where_, describe(), " is or holds ", found, ", expected ", expected(), kNotOurs);
    return false;
  }

  std::string where_;
  Place place_ = Place::kStart;
  std::string name_;   // tensor
  std::string field_;  // of the entry, or key of the metadata
  Entry* entry_ = nullptr;
  bool has_metadata_ = false;
};

std::string supported_types() {
  std::string names;
  for (const auto& element : kElements)
    names += (names.empty() ? "" : ", ") + std::string(element.name);
  return names;
}

/// Checks one entry against the size of the data area, which starts at `data_begin`.
StoredTensor to_stored(const Entry& entry, const std::string& where, std::size_t data_begin,
                       std::size_t data_size) {
  const auto element = std::find_if(kElements.begin(), kElements.end(),
                                    [&](const auto& e) { return e.name == entry.dtype; });
  require(element != kElements.end(), where, "dtype is ", quote(entry.dtype, 40),
          ", supported are ", supported_types(), "; convert the checkpoint to one of these");
  const auto begin = entry.offsets[0];
  const auto end = entry.offsets[1];
  require(begin <= end, where, "data_offsets are [", begin, ", ", end,
          "]: it ends before it begins", kDamaged);
  require(static_cast<std::uint64_t>(end) <= data_size, where, "data_offsets are [", begin, ", ",
          end, "], the file holds ", data_size, " bytes of data", kDamaged);
  const auto count = element_count(entry.shape);
  const auto bytes =
      count ? checked_product(*count, static_cast<int64_t>(element->size)) : std::nullopt;
  require(bytes.has_value(), where, "the product of its shape is too large", kDamaged);
  require(*bytes == end - begin, where, "shape and dtype ", entry.dtype, " need ", *bytes,
          " bytes, data_offsets give ", end - begin, kDamaged);
  return {element->type, entry.shape, {}, data_begin + static_cast<std::size_t>(begin)};
}

/// The tensors must follow each other without overlap or gap and fill the data area.
void check_tiling(const std::map<std::string, Entry>& entries, const std::string& where,
                  std::size_t data_size) {
  std::vector<std::tuple<int64_t, int64_t, const std::string*>> extents;
  for (const auto& [name, entry] : entries) {
    extents.emplace_back(entry.offsets[0], entry.offsets[1], &name);
  }
  std::sort(extents.begin(), extents.end());
  int64_t expected = 0;
  for (const auto& [begin, end, name] : extents) {
    require(begin >= expected, where, "tensor ", quote(*name), " begins at ", begin,
            " inside another, which ends at ", expected, kDamaged);
    require(begin == expected, where, "tensor ", quote(*name), " begins at ", begin,
            ", a gap after ", expected, kDamaged);
    expected = end;
  }
  require(static_cast<std::uint64_t>(expected) == data_size, where, "the tensors end at ", expected,
          ", the data at ", data_size, kDamaged);
}

}  // namespace

SafetensorsHeader read_safetensors_header(const MappedFile& file) {
  const auto where = "read " + quote(file.path()) + ": ";
  require(file.size() >= kLengthBytes, where, "found ", file.size(),
          " bytes, a safetensors file has at least ", kLengthBytes, kDamaged);
  const auto length = little_endian_u64(file.data());
  require(length <= kMostHeaderBytes, where, "the header's length is ", length, ", at most ",
          kMostHeaderBytes, " is allowed", kNotOurs);
  require(length <= file.size() - kLengthBytes, where, "the header's length is ", length, ", only ",
          file.size() - kLengthBytes, " bytes follow", kDamaged);
  const char* text = file.data() + kLengthBytes;
  require(length > 0 && text[0] == '{', where, "the header does not begin with '{'", kNotOurs);

  HeaderReader reader(where);
  json::sax_parse(text, text + length, &reader);

  SafetensorsHeader header;
  header.metadata = std::move(reader.metadata);
  const auto data_begin = static_cast<std::size_t>(kLengthBytes + length);
  const auto data_size = file.size() - data_begin;
  for (const auto& [name, entry] : reader.entries) {
    header.tensors[name] =
        to_stored(entry, where + "tensor " + quote(name) + ": ", data_begin, data_size);
  }
  check_tiling(reader.entries, where, data_size);
  return header;
}

}  // namespace groma::io
