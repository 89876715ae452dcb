#include "eval/ptb_tokenizer.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace groma::eval {
namespace {

using View = std::string_view;

/// Removed before captions are compared. As the tokens are in lower case by then, brackets, which
/// are written -lrb-, stay: that is what pycocoevalcap does.
constexpr std::array<View, 17> kPunctuation = {"''",    "'",     "``", "`",   "-LRB-", "-RRB-",
                                               "-LCB-", "-RCB-", ".",  "?",   "!",     ",",
                                               ":",     "-",     "--", "...", ";"};

/// Words whose full stop belongs to them.
constexpr std::array<View, 87> kAbbreviations = {
    "mr",   "mrs",   "ms",   "miss",  "drs",  "dr",    "prof", "sens",  "sen",  "reps", "rep",
    "gov",  "attys", "atty", "supt",  "det",  "rev",   "cmdr", "cpl",   "sgt",  "capt", "col",
    "gen",  "lt",    "maj",  "adm",   "mme",  "mmes",  "st",   "mt",    "ft",   "jr",   "sr",
    "bros", "esq",   "inc",  "cos",   "co",   "corp",  "ltd",  "plc",   "dept", "bhd",  "assn",
    "univ", "intl",  "sys",  "ave",   "blvd", "rd",    "p",    "hon",   "jan",  "feb",  "mar",
    "apr",  "jun",   "jul",  "aug",   "sep",  "sept",  "oct",  "nov",   "dec",  "mon",  "tue",
    "tues", "wed",   "thu",  "thurs", "fri",  "calif", "cf",   "al",    "seq",  "etc",  "est",
    "ext",  "tel",   "ph",   "vs",    "v",    "adj",   "adv",  "assoc", "bldg", "pres"};

struct Assimilation {
  View word;
  std::size_t head;  ///< letters of its first part
};
constexpr std::array<Assimilation, 6> kAssimilations = {
    {{"cannot", 3}, {"gonna", 3}, {"gotta", 3}, {"lemme", 3}, {"gimme", 3}, {"wanna", 3}}};

constexpr std::array<View, 14> kWholeWords = {"e'er",  "ev'ry", "ol'",   "li'l",      "s'mores",
                                              "'em",   "'til",  "'till", "'cause",    "c'mon",
                                              "nat'l", "o'er",  "'n'",   "nor'easter"};

constexpr std::array<View, 10> kSuffixes = {".com", ".net", ".org", ".edu",  ".gov",
                                            ".jpg", ".gif", ".png", ".html", ".txt"};

template <std::size_t N>
bool one_of(View word, const std::array<View, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_ascii_letter(char c) { return is_upper(c) || (c >= 'a' && c <= 'z'); }
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
/// A byte of a letter beyond ASCII; typographic marks were replaced before.
bool is_letter(char c) { return is_ascii_letter(c) || static_cast<unsigned char>(c) >= 0x80; }
bool is_word(char c) { return is_letter(c) || is_digit(c); }
bool is_vowel(char c) { return View("aeiouyAEIOUY").find(c) != View::npos; }

std::string lower(View text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if (is_upper(out[i])) {
      out[i] = static_cast<char>(byte + 32);
    } else if (byte == 0xC3 && i + 1 < out.size()) {  // Latin-1: capitals 80..9E but the times sign
      const auto low = static_cast<unsigned char>(out[i + 1]);
      if (low >= 0x80 && low <= 0x9E && low != 0x97) out[i + 1] = static_cast<char>(low + 32);
    }
  }
  return out;
}

/// Typographic marks as ASCII, symbols that stand alone between blanks.
std::string plain(View text) {
  struct Replacement {
    View from, to;
  };
  static constexpr std::array<Replacement, 21> kReplacements = {
      {{"\xC2\xA0", " "},          {"\xE2\x80\x98", "`"},      {"\xE2\x80\x99", "'"},
       {"\xE2\x80\x9C", " `` "},   {"\xE2\x80\x9D", " '' "},   {"\xE2\x80\x93", " -- "},
       {"\xE2\x80\x94", " -- "},   {"\xE2\x80\xA6", " ... "},  {"\xC2\xBD", " 1/2 "},
       {"\xC2\xBC", " 1/4 "},      {"\xC2\xBE", " 3/4 "},      {"\xC2\xA3", " # "},
       {"\xE2\x82\xAC", " $ "},    {"\xC2\xB0", " \xC2\xB0 "}, {"\xC2\xB4", " \xC2\xB4 "},
       {"\xC3\x97", " \xC3\x97 "}, {"\xE2\x80\xA8", " "},      {"\xE2\x80\xA9", " "},
       {"\xC2\xAB", " `` "},       {"\xC2\xBB", " '' "},       {"\xE2\x80\xA2", " \xE2\x80\xA2 "}}};
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto known = std::find_if(kReplacements.begin(), kReplacements.end(), [&](const auto& r) {
      return text.substr(at).starts_with(r.from);
    });
    if (known == kReplacements.end()) {
      out += text[at++];
    } else {
      out += known->to;
      at += known->from.size();
    }
  }
  return out;
}

/// One pass over a text; every member that reads a kind of token tells whether there was one.
class Scanner {
 public:
  explicit Scanner(View text) : text_(text) {}

  std::vector<std::string> run() {
    while (at_ < text_.size()) {
      if (is_blank(text_[at_])) {
        ++at_;
      } else if (!(whole_word() || tag() || emoticon() || address() || acronym() || number() ||
                   word() || apostrophe())) {
        mark();
      }
    }
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char before() const { return at_ > 0 ? text_[at_ - 1] : ' '; }
  std::size_t while_true(std::size_t from, bool (*is)(char)) const {
    while (from < text_.size() && is(text_[from])) ++from;
    return from;
  }
  void take(std::size_t end) {
    out_.push_back(lower(text_.substr(at_, end - at_)));
    at_ = end;
  }
  void take_as(std::size_t end, View token) {
    out_.emplace_back(token);
    at_ = end;
  }

  /// Words with apostrophes that are not split, and 90s with one in front.
  bool whole_word() {
    if (is_word(before())) return false;
    for (const View known : kWholeWords) {
      if (lower(text_.substr(at_, known.size())) != known) continue;
      const std::size_t end = at_ + known.size();
      if (end < text_.size() && is_word(text_[end])) continue;
      take(end);
      return true;
    }
    const bool years = peek() == '\'' && is_digit(peek(1)) && is_digit(peek(2));
    if (years && peek(3) == 's' && !is_word(peek(4))) {
      take(at_ + 4);
      return true;
    }
    return false;
  }

  bool tag() {
    if (peek() != '<') return false;
    std::size_t end = at_ + 1;
    if (end < text_.size() && text_[end] == '/') ++end;
    if (end >= text_.size() || !is_ascii_letter(text_[end])) return false;
    end = while_true(end, [](char c) { return is_word(c) || c == '-' || c == ':' || c == '.'; });
    if (end >= text_.size() || text_[end] != '>') return false;
    take(end + 1);
    return true;
  }

  bool emoticon() {
    if (View(":;=8").find(peek()) == View::npos || is_word(before())) return false;
    const std::size_t mouth = View("-o*'").find(peek(1)) != View::npos ? 2 : 1;
    const char c = peek(mouth);
    if (c == '\0' || View("()[]dDpP").find(c) == View::npos) return false;
    const bool bracket = !is_letter(c);
    if (!bracket && is_word(peek(mouth + 1))) return false;
    std::string token = lower(text_.substr(at_, mouth + !bracket));
    if (c == '(') token += "-lrb-";
    if (c == ')') token += "-rrb-";
    if (c == '[' || c == ']') token += c;
    take_as(at_ + mouth + 1, token);
    return true;
  }

  /// Web and mail addresses and file names.
  bool address() {
    if (!is_word(peek()) || is_word(before())) return false;
    std::size_t end = while_true(at_, [](char c) { return !is_blank(c); });
    const View rest = text_.substr(at_, end - at_);
    const bool web = rest.starts_with("http://") || rest.starts_with("https://") ||
                     (rest.starts_with("www.") && rest.find('.', 4) != View::npos);
    if (web) {
      while (View(".,;:!?')\"").find(text_[end - 1]) != View::npos) --end;
      take(end);
      return true;
    }
    end = while_true(
        at_, [](char c) { return is_word(c) || c == '.' || c == '-' || c == '_' || c == '@'; });
    while (end > at_ && (text_[end - 1] == '.' || text_[end - 1] == '-')) --end;
    const std::string token = lower(text_.substr(at_, end - at_));
    const bool mail =
        token.find('@') != View::npos && token.find('@') > 0 && token.find('@') + 1 < token.size();
    const bool known = std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](View suffix) {
      return token.size() > suffix.size() && token.ends_with(suffix);
    });
    if (!mail && !known) return false;
    take(end);
    return true;
  }

  /// u.s. and a.b, and capital initials as in "A. Milne".
  bool acronym() {
    if (!is_ascii_letter(peek()) || peek(1) != '.' || is_word(before())) return false;
    std::size_t end = at_;
    while (end + 2 < text_.size() && is_ascii_letter(text_[end]) && text_[end + 1] == '.' &&
           is_ascii_letter(text_[end + 2])) {
      end += 2;
    }
    if (end == at_) {
      if (!is_upper(peek()) || is_word(peek(2))) return false;
      take(at_ + 2);
      return true;
    }
    ++end;
    if (end < text_.size() && is_word(text_[end])) return false;
    if (end < text_.size() && text_[end] == '.') ++end;
    take(end);
    return true;
  }

  /// Digits joined by . , : with a sign where nothing is in front; 3/4 and dates.
  bool number() {
    std::size_t end = at_;
    const bool sign = (peek() == '+' || peek() == '-') && !is_letter(before());
    if (sign) ++end;
    bool joined = false, digits = false;
    for (;;) {
      const std::size_t next = while_true(end, is_digit);
      digits |= next > end;
      end = next;
      if (end + 1 >= text_.size() || View(".,:").find(text_[end]) == View::npos ||
          !is_digit(text_[end + 1])) {
        break;
      }
      joined = true;
      ++end;
    }
    if (!digits) return false;
    const char after = end < text_.size() ? text_[end] : ' ';
    // 5ft, 1/2cup and 4-6 are words.
    const bool continues = is_word(after) || ((after == '-' || after == '/') &&
                                              end + 1 < text_.size() && is_word(text_[end + 1]));
    if (!joined && (continues || !sign)) return false;
    take(end);
    return true;
  }

  /// Where the run of letters, digits and inner marks from `at_` ends.
  std::size_t word_end() const {
    std::size_t end = at_;
    for (;;) {
      end = while_true(end, is_word);
      if (end + 1 >= text_.size() || !is_word(text_[end + 1])) return end;
      const char joint = text_[end];
      const View so_far = text_.substr(at_, end - at_);
      const bool plain_joint = joint == '-' || joint == '/' || joint == '_';
      const bool initials = joint == '&' && is_upper(text_[end + 1]) &&
                            std::all_of(so_far.begin(), so_far.end(), is_upper);
      // A missing blank after a sentence: "left.right" stays one word.
      const bool sentence = (joint == '.' || joint == '!' || joint == '?') &&
                            is_letter(text_[end + 1]) && starts_with_letters(so_far);
      const bool apostrophe = joint == '\'' && joins(so_far, end + 1);
      if (!plain_joint && !initials && !sentence && !apostrophe) return end;
      ++end;
    }
  }

  /// Whether an apostrophe between `head` and what begins at `tail` is part of a word: o'clock,
  /// d'artagnan, ma'am.
  bool joins(View head, std::size_t tail) const {
    const std::size_t end = while_true(tail, is_letter);
    if (end < text_.size() && is_digit(text_[end])) return false;
    if (!std::all_of(head.begin(), head.end(), is_letter)) return false;
    if (head.size() == 1) {
      if (View("dDoOlLjJ").find(head[0]) != View::npos) return true;
      return (is_upper(head[0]) || head[0] == 'n') && head[0] != 'I' && end - tail >= 2 &&
             !is_contraction(lower(text_.substr(tail, end - tail)));
    }
    const bool vowels = is_vowel(head.back()) && View("aeiou").find(text_[tail]) != View::npos;
    return vowels && !is_contraction(lower(text_.substr(tail, end - tail)));
  }

  static bool is_contraction(View tail) {
    static constexpr std::array<View, 6> kTails = {"s", "m", "d", "ll", "re", "ve"};
    return one_of(tail, kTails);
  }

  static bool starts_with_letters(View head) {
    return is_letter(head[0]) && std::all_of(head.begin(), head.end(), [](char c) {
             return is_word(c) || c == '.' || c == '!' || c == '?';
           });
  }

  bool word() {
    if (!is_word(peek())) return false;
    const std::size_t end = word_end();
    const View all = text_.substr(at_, end - at_);
    const std::string small = lower(all);
    for (const auto& [known, head] : kAssimilations) {
      if (small != known) continue;
      take(at_ + head);
      take(end);
      return true;
    }
    const bool apostrophe = end < text_.size() && text_[end] == '\'';
    const std::size_t tail_end = apostrophe ? while_true(end + 1, is_word) : end;
    const std::string tail = apostrophe ? lower(text_.substr(end + 1, tail_end - end - 1)) : "";
    if (tail == "t" && small.ends_with('n') && small.size() > 1) {
      take(end - 1);
      take(tail_end);
    } else if (is_contraction(tail) || tail == "n") {
      take(end);
      take(tail_end + (tail == "n" && peek(tail_end - at_) == '\'' ? 1 : 0));
    } else if (small == "y" && !tail.empty()) {
      take(end + 1);
    } else if (end < text_.size() && text_[end] == '.' && abbreviates(small, end + 1)) {
      take(end + 1);
    } else if (end < text_.size() && text_[end] == '$' && (small == "us" || small == "hk")) {
      take(end + 1);
    } else {
      take(end);
    }
    return true;
  }

  bool abbreviates(const std::string& small, std::size_t after) const {
    if (after < text_.size() && is_word(text_[after]) && small != "no") return false;
    if (one_of(small, kAbbreviations) || small == "ph.d" || small == "ed.d") return true;
    // "no. 5" is a number, "no. left" an answer.
    const std::size_t next = while_true(after, is_blank);
    return (small == "no" || small == "nos") && next < text_.size() && is_digit(text_[next]);
  }

  /// Contractions that stand apart, and 't of 'tis.
  bool apostrophe() {
    if (peek() != '\'') return false;
    const std::size_t end = while_true(at_ + 1, is_word);
    const std::string tail = lower(text_.substr(at_ + 1, end - at_ - 1));
    if (tail == "tis" || tail == "twas") {
      take(at_ + 2);
      take(end);
      return true;
    }
    const bool year = tail.size() == 2 && is_digit(tail[0]) && is_digit(tail[1]) &&
                      !(end < text_.size() && View("\"'").find(text_[end]) != View::npos);
    if (!is_contraction(tail) && !year) return false;
    take(end);
    return true;
  }

  /// Everything else: runs of one mark, brackets by name, single characters.
  void mark() {
    const char c = peek();
    const auto run = [&](char mark) {
      std::size_t end = at_;
      while (end < text_.size() && text_[end] == mark) ++end;
      return end;
    };
    if (c == '!' || c == '?') {
      take(while_true(at_, [](char m) { return m == '!' || m == '?'; }));
    } else if (c == '.') {
      const std::size_t dots = run('.') - at_;
      if (dots >= 3) {
        take_as(at_ + dots, "...");
      } else {
        take(at_ + 1);
      }
    } else if (c == '-') {
      const std::size_t end = run('-');
      take_as(end, end - at_ > 1 ? "--" : "-");
    } else if (c == '"' || (c == '\'' && peek(1) == '\'')) {
      take_as(at_ + (c == '"' ? 1 : 2), "''");
    } else if (c == '`') {
      take(at_ + (peek(1) == '`' ? 2 : 1));
    } else if (c == '#' && is_ascii_letter(peek(1))) {
      take(while_true(at_ + 1, [](char m) { return is_word(m) || m == '_'; }));
    } else if (c == '@' && is_ascii_letter(peek(1))) {
      take(while_true(at_ + 1, [](char m) { return is_word(m) || m == '_'; }));
    } else if (const auto bracket = View("()[]{}").find(c); bracket != View::npos) {
      static constexpr std::array<View, 6> kNames = {"-lrb-", "-rrb-", "-lsb-",
                                                     "-rsb-", "-lcb-", "-rcb-"};
      take_as(at_ + 1, kNames[bracket]);
    } else {
      take(at_ + 1);
    }
  }

  View text_;
  std::size_t at_ = 0;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<std::string> ptb_tokens(std::string_view text) {
  const std::string simple = plain(text);
  return Scanner(simple).run();
}

std::string caption_words(std::string_view text) {
  std::string out;
  for (const std::string& token : ptb_tokens(text)) {
    if (one_of(token, kPunctuation)) continue;
    if (!out.empty()) out += ' ';
    out += token;
  }
  return out;
}

std::string without_punctuation(std::string_view tokenised) {
  std::string out;
  for (std::size_t at = 0; at < tokenised.size();) {
    const std::size_t end = std::min(tokenised.find(' ', at), tokenised.size());
    const View token = tokenised.substr(at, end - at);
    at = end + 1;
    if (token.empty() || one_of(token, kPunctuation)) continue;
    if (!out.empty()) out += ' ';
    out += token;
  }
  return out;
}

}  // namespace groma::eval
