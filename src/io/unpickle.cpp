#include "io/unpickle.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <variant>

#include "check.h"
#include "io/file.h"

namespace groma::io {
namespace {

constexpr std::size_t kMostBytes = 16 << 20;  // 300 tensors of the 7B model need 60 KB
constexpr std::size_t kMostItems = 1 << 18;   // on the stack, in the memo, tensors
constexpr int kDeepestTuple = 8;
constexpr std::size_t kLongestGlobal = 100;
constexpr const char* kDamaged = "; the file is damaged, get it again";
constexpr const char* kNotPlain =
    "; only plain state dicts are read: save model.state_dict() with torch.save";

enum class Global { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorageClass };

struct Mark {};
struct None {};
struct Callable {
  Global what = Global::kOrderedDict;
  ElementType type = ElementType::kF32;  // of a storage class
};
struct Storage {
  ElementType type;
  std::string_view key;
  int64_t size;
};
struct Tuple;
struct Dict;
using Value = std::variant<Mark, None, bool, int64_t, std::string_view, Callable, Storage,
                           std::shared_ptr<const Tuple>, std::shared_ptr<Dict>,
                           std::shared_ptr<const PickledTensor>>;

struct Tuple {
  std::vector<Value> items;
  int depth = 1;  // bounded, as tuples are freed recursively
};

/// Keeps tensors alone, so that no dict can hold another or itself.
struct Dict {
  std::map<std::string_view, std::shared_ptr<const PickledTensor>> tensors;
  std::vector<std::string_view> others;  // names of the entries that are no tensors
};

const char* kind_of(const Value& value) {
  static constexpr const char* kKinds[] = {"a mark", "None",     "a truth value", "a number",
                                           "text",   "a global", "a storage",     "a tuple",
                                           "a dict", "a tensor"};
  return kKinds[value.index()];
}

/// The stack machine that a pickle is a program for.
class Machine {
 public:
  Machine(std::string_view pickle, const std::string& name)
      : pickle_(pickle), where_("read " + quote(name) + ": data.pkl: ") {}

  std::map<std::string, PickledTensor> run() {
    require(pickle_.size() <= kMostBytes, where_, pickle_.size(), " bytes, at most ", kMostBytes,
            " are read", kNotPlain);
    require(byte() == 0x80, where_, "does not begin with PROTO", kDamaged);
    const int protocol = byte();
    require(protocol == 2, where_, "pickle protocol is ", protocol,
            ", expected 2; save the file again with torch.save's default protocol");
    for (auto opcode = byte(); opcode != '.'; opcode = byte()) step(opcode);
    return result();
  }

 private:
  void step(unsigned char opcode) {
    switch (opcode) {
      case '(':
        return push(Mark{});
      case 'N':
        return push(None{});
      case 0x88:
        return push(true);
      case 0x89:
        return push(false);
      case 'K':
        return push(number(1));
      case 'M':
        return push(number(2));
      case 'J':
        return push(static_cast<int64_t>(static_cast<std::int32_t>(number(4))));
      case 0x8a:
        return push(long_number());
      case 'X':
        return push(take(static_cast<std::size_t>(number(4))));
      case 'c':
        return push(global());
      case '}':
        return push(std::make_shared<Dict>());
      case ')':
        return push_tuple({});
      case 't':
        return push_tuple(pop_to_mark());
      case 0x85:
        return push_tuple(pop_last(1));
      case 0x86:
        return push_tuple(pop_last(2));
      case 0x87:
        return push_tuple(pop_last(3));
      case 'q':
        return remember(number(1));
      case 'r':
        return remember(number(4));
      case 'h':
        return recall(number(1));
      case 'j':
        return recall(number(4));
      case 's':
        return set_items(pop_last(2));
      case 'u':
        return set_items(pop_to_mark());
      case 'Q':
        return push(storage(pop()));
      case 'R':
        return reduce();
      case 'b':
        return build();
      default:
        require(false, where_, "opcode ", opcode_name(opcode), " (byte ", int{opcode}, ") at ",
                at_ - 1, " is not part of a state dict", kNotPlain);
    }
  }

  // Bytes.

  std::string_view take(std::size_t count) {
    require(count <= pickle_.size() - at_, where_, "ends within an instruction at ", at_, kDamaged);
    at_ += count;
    return pickle_.substr(at_ - count, count);
  }

  unsigned char byte() { return static_cast<unsigned char>(take(1)[0]); }

  int64_t number(int width) {
    const auto bytes = take(static_cast<std::size_t>(width));
    int64_t value = 0;
    for (int i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  /// A two's complement number of up to 8 bytes.
  int64_t long_number() {
    const std::size_t width = byte();
    require(width <= 8, where_, "a number of ", width, " bytes, at most 8 are read", kNotPlain);
    const auto bytes = take(width);
    const bool negative = width > 0 && (bytes[width - 1] & 0x80) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    for (auto i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return static_cast<int64_t>(value);
  }

  std::string_view line() {
    const auto end = pickle_.find('\n', at_);
    require(end != std::string_view::npos && end - at_ <= kLongestGlobal, where_,
            "the name of a global at ", at_, " does not end", kDamaged);
    const auto text = take(end - at_);
    take(1);
    return text;
  }

  // Stack and memo.

  void push(Value value) {
    require(stack_.size() < kMostItems, where_, "more than ", kMostItems, " values on the stack",
            kNotPlain);
    stack_.push_back(std::move(value));
  }

  Value pop() {
    require(!stack_.empty(), where_, "takes a value from an empty stack at ", at_, kDamaged);
    auto value = std::move(stack_.back());
    stack_.pop_back();
    require(!std::holds_alternative<Mark>(value), where_, "takes a mark for a value at ", at_,
            kDamaged);
    return value;
  }

  std::vector<Value> pop_last(std::size_t count) {
    std::vector<Value> values(count);
    for (auto i = count; i-- > 0;) values[i] = pop();
    return values;
  }

  std::vector<Value> pop_to_mark() {
    const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), [](const Value& value) {
      return std::holds_alternative<Mark>(value);
    });
    require(mark != stack_.rend(), where_, "lacks a mark at ", at_, kDamaged);
    std::vector<Value> values(std::make_move_iterator(mark.base()),
                              std::make_move_iterator(stack_.end()));
    stack_.erase(mark.base() - 1, stack_.end());
    return values;
  }

  void push_tuple(std::vector<Value> items) {
    Tuple tuple{std::move(items)};
    for (const auto& item : tuple.items) {
      if (const auto* inner = std::get_if<std::shared_ptr<const Tuple>>(&item)) {
        tuple.depth = std::max(tuple.depth, (*inner)->depth + 1);
      }
    }
    require(tuple.depth <= kDeepestTuple, where_, "tuples nest deeper than ", kDeepestTuple,
            kNotPlain);
    push(std::make_shared<const Tuple>(std::move(tuple)));
  }

  void remember(int64_t place) {
    require(!stack_.empty() && !std::holds_alternative<Mark>(stack_.back()), where_,
            "remembers nothing at ", at_, kDamaged);
    memo_[place] = stack_.back();
    require(memo_.size() <= kMostItems, where_, "more than ", kMostItems, " values in the memo",
            kNotPlain);
  }

  void recall(int64_t place) {
    const auto found = memo_.find(place);
    require(found != memo_.end(), where_, "recalls the unknown value ", place, " at ", at_,
            kDamaged);
    push(found->second);
  }

  // Objects.

  template <typename T>
  const T& as(const Value& value, const char* what) const {
    const auto* found = std::get_if<T>(&value);
    require(found != nullptr, where_, what, " is ", kind_of(value), " at ", at_, kNotPlain);
    return *found;
  }

  const std::vector<Value>& items(const Value& value, const char* what) const {
    return as<std::shared_ptr<const Tuple>>(value, what)->items;
  }

  Callable global() {
    const auto module = line();
    const auto name = line();
    if (module == "collections" && name == "OrderedDict") return {Global::kOrderedDict};
    if (module == "torch._utils" && name == "_rebuild_tensor_v2") return {Global::kRebuildTensor};
    if (module == "torch._utils" && name == "_rebuild_parameter") {
      return {Global::kRebuildParameter};
    }
    const auto* element = std::find_if(kElements.begin(), kElements.end(),
                                       [&](const auto& e) { return e.storage == name; });
    require(module == "torch" && element != kElements.end(), where_, "asks for the global ",
            quote(std::string(module) + "." + std::string(name)),
            ", which is not part of a state dict and may run code",
            "; do not trust the file, or save model.state_dict() alone with torch.save");
    return {Global::kStorageClass, element->type};
  }

  /// ('storage', class, key, location, number of elements)
  Storage storage(const Value& id) {
    const auto& parts = items(id, "a persistent id");
    require(parts.size() == 5 && as<std::string_view>(parts[0], "its kind") == "storage", where_,
            "a persistent id is not that of a storage", kNotPlain);
    const auto& type = as<Callable>(parts[1], "the class of a storage");
    require(type.what == Global::kStorageClass, where_, "the class of a storage is another global",
            kNotPlain);
    const auto size = as<int64_t>(parts[4], "the size of a storage");
    require(size >= 0, where_, "a storage has ", size, " elements", kDamaged);
    return {type.type, as<std::string_view>(parts[2], "the key of a storage"), size};
  }

  void reduce() {
    const auto arguments = pop();
    const auto callable = as<Callable>(pop(), "what is called");
    const auto& given = items(arguments, "the list of arguments");
    if (callable.what == Global::kOrderedDict) {
      require(given.empty(), where_, "an OrderedDict is made from arguments", kNotPlain);
      push(std::make_shared<Dict>());
    } else if (callable.what == Global::kRebuildTensor) {
      push(std::make_shared<const PickledTensor>(tensor(given)));
    } else {
      require(callable.what == Global::kRebuildParameter && given.size() == 3, where_,
              "a storage class is called, or a parameter with ", given.size(), " arguments",
              kNotPlain);
      push(as<std::shared_ptr<const PickledTensor>>(given[0], "the data of a parameter"));
    }
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks)
  PickledTensor tensor(const std::vector<Value>& given) {
    require(given.size() == 6, where_, "a tensor is built from ", given.size(),
            " arguments, expected 6", kNotPlain);
    require(++tensors_ <= kMostItems, where_, "more than ", kMostItems, " tensors", kNotPlain);
    const auto& storage = as<Storage>(given[0], "the storage of a tensor");
    PickledTensor tensor{storage.type,      storage.key,
                         storage.size,      as<int64_t>(given[1], "the offset of a tensor"),
                         numbers(given[2]), numbers(given[3])};
    const auto& hooks = *as<std::shared_ptr<Dict>>(given[5], "the list of hooks");
    require(hooks.tensors.empty() && hooks.others.empty(), where_, "a tensor has backward hooks",
            kNotPlain);
    check_extent(tensor);
    return tensor;
  }

  std::vector<int64_t> numbers(const Value& tuple) {
    const auto& parts = items(tuple, "the shape or strides of a tensor");
    require(parts.size() <= kMaxDimensions, where_, "a tensor has ", parts.size(),
            " dimensions, at most ", kMaxDimensions, " are read", kNotPlain);
    std::vector<int64_t> values;
    for (const auto& part : parts) {
      values.push_back(as<int64_t>(part, "a size or stride"));
      require(values.back() >= 0, where_, "a size or stride is ", values.back(), kDamaged);
    }
    return values;
  }

  /// The tensor has no more elements than its storage, and its last one lies inside.
  void check_extent(const PickledTensor& tensor) const {
    const auto what = where_ + "a tensor of storage " + quote(tensor.key, 40) + ": ";
    require(tensor.sizes.size() == tensor.strides.size(), what, tensor.sizes.size(), " sizes but ",
            tensor.strides.size(), " strides", kDamaged);
    require(tensor.offset >= 0 && tensor.offset <= tensor.storage_size, what, "its offset is ",
            tensor.offset, ", the storage has ", tensor.storage_size, " elements", kDamaged);
    const auto count = element_count(tensor.sizes);
    require(count && *count <= tensor.storage_size, what, "it has more elements than the ",
            tensor.storage_size, " of the storage", kDamaged);
    int64_t last = tensor.offset;
    bool inside = true;
    for (std::size_t i = 0; i < tensor.sizes.size() && *count > 0; ++i) {
      int64_t step = 0;
      inside = inside && !__builtin_mul_overflow(tensor.sizes[i] - 1, tensor.strides[i], &step) &&
               !__builtin_add_overflow(last, step, &last);
    }
    require(inside && (*count == 0 || last < tensor.storage_size), what,
            "its last element lies outside the ", tensor.storage_size, " of the storage", kDamaged);
  }

  void set_items(std::vector<Value> pairs) {
    require(pairs.size() % 2 == 0 && !stack_.empty(), where_, "a dict entry lacks its value at ",
            at_, kDamaged);
    auto& dict = *as<std::shared_ptr<Dict>>(stack_.back(), "what entries are put into");
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
      const auto key = as<std::string_view>(pairs[i], "the key of an entry");
      const auto* tensor = std::get_if<std::shared_ptr<const PickledTensor>>(&pairs[i + 1]);
      if (tensor == nullptr) {
        dict.others.push_back(key);
        continue;
      }
      require(dict.tensors.emplace(key, *tensor).second, where_, "entry ", quote(key),
              " stands twice", kDamaged);
    }
  }

  /// Attributes of an object. A state dict has one, the versions of its modules.
  void build() {
    const auto state = as<std::shared_ptr<Dict>>(pop(), "the attributes of an object");
    require(!stack_.empty(), where_, "gives attributes to nothing", kDamaged);
    as<std::shared_ptr<Dict>>(stack_.back(), "what gets attributes");
    require(state->tensors.empty(), where_, "the attributes of a dict hold tensors", kNotPlain);
    for (const auto& name : state->others) {
      require(name == "_metadata", where_, "a dict has the attribute ", quote(name),
              ", expected _metadata alone", kNotPlain);
    }
  }

  std::map<std::string, PickledTensor> result() {
    const auto dict = as<std::shared_ptr<Dict>>(pop(), "the top level");
    require(stack_.empty(), where_, "ends with values left on the stack", kDamaged);
    std::string others;
    for (std::size_t i = 0; i < std::min<std::size_t>(dict->others.size(), 5); ++i) {
      others += (i > 0 ? ", " : "; found ") + quote(dict->others[i], 40);
    }
    require(!dict->tensors.empty() || dict->others.empty(), where_, "no tensors at the top level",
            others, kNotPlain);
    std::map<std::string, PickledTensor> tensors;
    for (const auto& [name, tensor] : dict->tensors) tensors.emplace(name, *tensor);
    return tensors;
  }

  std::string_view pickle_;
  std::string where_;
  std::size_t at_ = 0;
  std::vector<Value> stack_;
  std::unordered_map<int64_t, Value> memo_;
  std::size_t tensors_ = 0;
};

}  // namespace

std::map<std::string, PickledTensor> unpickle_state_dict(std::string_view pickle,
                                                         const std::string& name) {
  return Machine(pickle, name).run();
}

}  // namespace groma::io
