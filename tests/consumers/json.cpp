// cinetomo/json.hpp, with the file of its argument and by hand (RFC 8259). Prints the text that the file's member
// "template" holds.
#include "../../include/cinetomo/json.hpp"

#include <clocale>
#include <cstdio>
#include <fstream>
#include <iterator>

#define CHECK(condition) \
  if (!(condition)) std::printf("line %d: %s\n", __LINE__, #condition), std::exit(1)

namespace json = cinetomo::detail::json;

static bool is_json(const std::string &text) {
  try {
    json::parse(text);
    return true;
  } catch (const std::runtime_error &) {
    return false;
  }
}

int main(int, char **argv) {
  // A host's locale, with a decimal comma where the machine has one: JSON has points.
  for (const char *name : {"de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) break;
  }
  CHECK(json::parse(" -1.5e3 ").number() == -1500.0);
  CHECK(json::parse("0").number() == 0.0 && json::parse("-0.5").number() == -0.5 && json::parse("10").number() == 10.0);
  CHECK(json::parse(R"("\u00e9\u20ac\ud83d\ude00\n\"\\\/")").text() == "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n\"\\/");
  CHECK(json::parse(R"({"a": [], "b": {}, "c": [1, {"d": null}]})").at("c").list()[1].find("d") != nullptr);
  CHECK(json::parse(R"({"a": 1})").find("b") == nullptr);
  for (const char *bad : {"", "{", "[1,]", "[1] 2", "[1 2]", R"({"a":1,})", R"({a:1})", R"({"a" 1})", R"("\x")",
                          R"("\ud83d")", R"("\u12")", "\"\t\"", "'a'", "01", "-01", "0x1", "01x", "+1", "--1", "-",
                          ".5", "1e", "nul", "NaN", "infinity"}) {
    if (is_json(bad)) std::printf("accepted: %s\n", bad), std::exit(1);
  }
  CHECK(is_json(std::string(20, '[') + std::string(20, ']')));
  CHECK(!is_json(std::string(1000000, '[')));  // refused, not a stack overflow

  std::ifstream stream(argv[1]);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const json::Value file = json::parse(text);
  const std::string whole = file.at("template").text();
  std::string filled = whole;
  filled.replace(filled.find("@ABI@]"), 5, "1");
  CHECK(is_json(filled));
  for (std::size_t n = 0; n + 2 < filled.size(); ++n) CHECK(!is_json(filled.substr(0, n)));
  std::printf("%s", whole.c_str());
}
