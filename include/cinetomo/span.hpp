// Views of the caller's memory.
#ifndef CINETOMO_SPAN_HPP
#define CINETOMO_SPAN_HPP

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

namespace cinetomo {

// Values in a row that belong to somebody else, as std::span of C++20: made of one, of a vector, an array or a list in
// braces, or of an address and a number. Nothing is copied.
template <class T>
class Span {
 public:
  constexpr Span() = default;
  // An address and a number of values.
  constexpr Span(T *data, std::size_t size) : data_(data), size_(size) {}

  // Whatever has data() and size(): std::vector, std::array, std::span.
  template <class Range, class = std::enable_if_t<
                             !std::is_same_v<std::decay_t<Range>, Span> &&
                             std::is_convertible_v<decltype(std::data(std::declval<Range &>())), T *> &&
                             std::is_convertible_v<decltype(std::size(std::declval<Range &>())), std::size_t>>>
  constexpr Span(Range &&range) : Span(std::data(range), std::size(range)) {}

  // A list in braces, which lives as long as the call that it is written in.
  template <class U = T, class = std::enable_if_t<std::is_const_v<U>>>
  constexpr Span(const std::initializer_list<std::remove_const_t<U>> &list) : Span(std::data(list), list.size()) {}

  // The first value.
  constexpr T *data() const { return data_; }
  // How many values there are.
  constexpr std::size_t size() const { return size_; }
  // Whether there are none.
  constexpr bool empty() const { return size_ == 0; }
  // For loops: the first value.
  constexpr T *begin() const { return data_; }
  // For loops: one past the last.
  constexpr T *end() const { return data_ + size_; }
  // A value, unchecked.
  constexpr T &operator[](std::size_t index) const { return data_[index]; }

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {

// Whether a type has the interface of std::mdspan (C++23): the standard's, Kokkos', or one of the same shape.
template <class View, class = void>
struct IsMdspan : std::false_type {};
template <class View>
struct IsMdspan<View, std::void_t<decltype(*std::declval<const View &>().data_handle()),
                                  decltype(std::declval<const View &>().extent(0)),
                                  decltype(std::declval<const View &>().stride(0)),
                                  decltype(std::declval<const View &>().mapping().required_span_size()),
                                  decltype(View::rank())>> : std::true_type {};

// Whether a type is a row of values in memory.
template <class Range, class = void>
struct IsRow : std::false_type {};
template <class Range>
struct IsRow<Range, std::void_t<decltype(*std::data(std::declval<const Range &>())),
                                decltype(std::size(std::declval<const Range &>()))>> : std::true_type {};

}  // namespace detail
}  // namespace cinetomo

#endif  // CINETOMO_SPAN_HPP
