// Reads JSON (RFC 8259): what a manifest needs and no more. Throws std::runtime_error that says what and where.
#ifndef CINETOMO_JSON_HPP
#define CINETOMO_JSON_HPP

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cinetomo::detail::json {

// A value of any kind. What asks for another kind than it has throws.

class Value {
 public:
  using Object = std::vector<std::pair<std::string, Value>>;
  using List = std::vector<Value>;

  template <class T>
  explicit Value(T data) : data_(std::move(data)) {}

  const std::string &text() const { return get<std::string>("a string"); }
  double number() const { return get<double>("a number"); }
  const List &list() const { return get<List>("a list"); }
  const Object &object() const { return get<Object>("an object"); }
  bool is_text() const { return std::holds_alternative<std::string>(data_); }

  // The member of an object, or nullptr.
  const Value *find(const std::string &name) const {
    for (const auto &[key, value] : get<Object>("an object")) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  const Value &at(const std::string &name) const {
    if (const Value *value = find(name)) return *value;
    throw std::runtime_error("member " + name + " is missing");
  }

 private:
  template <class T>
  const T &get(const char *what) const {
    if (const T *data = std::get_if<T>(&data_)) return *data;
    throw std::runtime_error(std::string("a value is not ") + what);
  }

  std::variant<std::nullptr_t, bool, double, std::string, List, Object> data_;
};

class Parser {
 public:
  explicit Parser(const std::string &text) : text_(text) {}

  Value document() {
    Value result = value(0);
    if (peek() != '\0') fail("nothing more");
    return result;
  }

 private:
  Value value(int depth) {
    if (depth > 32) fail("less nesting");
    switch (peek()) {
      case '{': return object(depth);
      case '[': return list(depth);
      case '"': return Value(string());
      default: return word();
    }
  }

  Value object(int depth) {
    Value::Object members;
    expect('{');
    if (peek() == '}') return ++at_, Value(members);
    do {
      if (peek() != '"') fail("a member's name");
      std::string name = string();
      if (peek() != ':') fail("':'");
      ++at_;
      members.emplace_back(std::move(name), value(depth + 1));
    } while (another('}'));
    return Value(std::move(members));
  }

  Value list(int depth) {
    Value::List items;
    expect('[');
    if (peek() == ']') return ++at_, Value(items);
    do {
      items.push_back(value(depth + 1));
    } while (another(']'));
    return Value(std::move(items));
  }

  // Whether a comma follows, and not the end of the object or list.
  bool another(char end) {
    const char next = peek();
    if (next != ',' && next != end) fail("',' or the end of an object or list");
    ++at_;
    return next == ',';
  }

  std::string string() {
    static const std::string escapes = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    std::string result;
    expect('"');
    while (true) {
      const char next = at_ < text_.size() ? text_[at_++] : '\0';
      if (next == '"') return result;
      if (static_cast<unsigned char>(next) < 0x20) fail("the end of a string");
      if (next != '\\') {
        result += next;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '\0';
      const std::size_t index = escapes.find(escape);
      if (escape == 'u') append_utf8(result, code_point());
      else if (index != std::string::npos) result += meanings[index];
      else fail("an escape sequence");
    }
  }

  unsigned long code_point() {
    const unsigned long first = hex4();
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (text_.compare(at_, 2, "\\u") != 0) fail("the second half of a surrogate pair");
    at_ += 2;
    const unsigned long second = hex4();
    if (first > 0xDBFF || second < 0xDC00 || second > 0xDFFF) fail("a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  unsigned long hex4() {
    const std::string digits = text_.substr(at_, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      fail("four hexadecimal digits");
    }
    at_ += 4;
    return std::stoul(digits, nullptr, 16);
  }

  static void append_utf8(std::string &text, unsigned long code) {
    const auto add = [&](unsigned long byte) { text += static_cast<char>(byte); };
    if (code < 0x80) return add(code);
    if (code < 0x800) return add(0xC0 | code >> 6), add(0x80 | (code & 0x3F));
    if (code < 0x10000) {
      return add(0xE0 | code >> 12), add(0x80 | (code >> 6 & 0x3F)), add(0x80 | (code & 0x3F));
    }
    add(0xF0 | code >> 18), add(0x80 | (code >> 12 & 0x3F)), add(0x80 | (code >> 6 & 0x3F)), add(0x80 | (code & 0x3F));
  }

  // null, true, false or a number.
  Value word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '+' ||
                                  text_[at_] == '-' || text_[at_] == '.')) {
      ++at_;
    }
    const std::string word = text_.substr(start, at_ - start);
    if (word == "null") return Value(nullptr);
    if (word == "true" || word == "false") return Value(word == "true");
    // Streams also take leading zeros and signs.
    const std::size_t first = word.find_first_not_of('-');
    const bool digits_only = word.find_first_not_of("0123456789+-.eE") == std::string::npos;
    const bool starts_well = first <= 1 && word[first] >= '0' && word[first] <= '9' &&
                             (word[first] != '0' || word.find_first_of("0123456789", first + 1) != first + 1);
    std::istringstream stream(word);
    stream.imbue(std::locale::classic());  // the host's locale may have a decimal comma
    double number = 0.0;
    stream >> number;
    if (!digits_only || !starts_well || stream.fail() || !stream.eof()) at_ = start, fail("a value");
    return Value(number);
  }

  char peek() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void expect(char wanted) {
    if (peek() != wanted) fail(std::string(1, wanted));
    ++at_;
  }

  [[noreturn]] void fail(const std::string &wanted) const {
    throw std::runtime_error("not JSON: " + wanted + " expected at byte " + std::to_string(at_));
  }

  const std::string &text_;
  std::size_t at_ = 0;
};

inline Value parse(const std::string &text) { return Parser(text).document(); }

}  // namespace cinetomo::detail::json

#endif  // CINETOMO_JSON_HPP
