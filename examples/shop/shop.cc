// The shop, from a terminal. shop.sh is the same with curl.
//
//   shop HOST:PORT,... stock SKU PRICE QUANTITY [DELIVERY]
//       puts goods on the shelf; those of one DELIVERY once within a day, without it each time
//   shop HOST:PORT,... products                        what is for sale
//   shop HOST:PORT,... buy ORDER CUSTOMER SKU QUANTITY
//   shop HOST:PORT,... status ORDER
//   shop HOST:PORT,... sale SKU BUYERS                 so many buy at once, until it is sold out
//   shop HOST:PORT,... audit                           do stock, orders, money and parcels agree?
//
// Exit code 0: done. 1: refused, or the books do not agree. 2: nobody knows; the same once more
// finds out. 64: it was called wrongly.
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <thread>

#include "storefront.h"

using namespace shop;  // NOLINT: of this program alone.

namespace {

constexpr uint64_t kBuyersMax = 1'000;  // A thread each.
constexpr auto kPatience = std::chrono::seconds(60);

std::optional<uint64_t> ParseNumber(std::string_view text, uint64_t max) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number == 0 || number > max) return std::nullopt;
  return number;
}

int Failed(const holdfast::Error& error) {
  std::cerr << error.message << (error.hint.empty() ? "" : " (" + error.hint + ")") << "\n";
  return error.code == holdfast::ErrorCode::kInvalidArgument ||
                 error.code == holdfast::ErrorCode::kNotFound
             ? 1
             : 2;
}

// An id that nobody else makes up.
std::string MadeUp() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) + "-" +
         std::to_string(getpid());
}

int Stock(Storefront& store, const std::string& sku, uint64_t price, uint64_t quantity,
          const std::string& delivery) {
  if (const auto opened = store.Open(); !opened) return Failed(opened.error());
  const auto stocked =
      store.Stock(sku, static_cast<int64_t>(price), static_cast<uint32_t>(quantity), delivery);
  if (!stocked) return Failed(stocked.error());
  std::cout << sku << ": " << quantity << " on the shelf, " << price << " each\n";
  return 0;
}

int Products(Storefront& store) {
  const auto products = store.Products();
  if (!products) return Failed(products.error());
  for (const orders::Product& product : *products) {
    std::cout << product.sku() << ": " << product.available() << " left, " << product.price()
              << " each\n";
  }
  return 0;
}

int Buy(Storefront& store, const std::string& order, const std::string& customer,
        const std::string& sku, uint64_t quantity) {
  if (const auto added = store.AddCustomer(customer); !added) return Failed(added.error());
  const auto product = store.Find(sku);
  if (!product) return Failed(product.error());
  const auto sale = store.Buy(order, customer, *product, static_cast<uint32_t>(quantity));
  if (!sale) return Failed(sale.error());
  std::cout << order << ": " << (sale->sold ? "sold" : sale->reason) << "\n";
  return sale->sold ? 0 : 1;
}

int Status(Storefront& store, const std::string& id) {
  const auto order = store.Status(id);
  if (!order) return Failed(order.error());
  std::cout << id << ": " << orders::OrderState::Code_Name(order->state()) << ", " << order->total()
            << " by " << order->customer() << "\n";
  return 0;
}

// --- A sale

// The very same order until somebody knows how it ended.
Result<Sale> BuyUntilAnswered(Storefront& store, const std::string& order,
                              const std::string& customer, const orders::Product& product) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    auto sale = store.Buy(order, customer, product, 1);
    if (sale || sale.error().code == holdfast::ErrorCode::kInvalidArgument) return sale;
    if (std::chrono::steady_clock::now() > deadline) return sale;
  }
}

// Buys one piece after another, each an order of its own, until there are no more. What went wrong,
// or empty.
std::string BuyAll(Storefront& store, const std::string& run, uint64_t buyer,
                   const orders::Product& product, std::atomic<uint64_t>& sold) {
  const std::string customer = "buyer-" + std::to_string(buyer);
  if (const auto added = store.AddCustomer(customer); !added) return added.error().message;
  for (uint64_t number = 1;; ++number) {
    const std::string order = run + "-" + std::to_string(buyer) + "-" + std::to_string(number);
    const auto sale = BuyUntilAnswered(store, order, customer, product);
    if (!sale) return sale.error().message;
    if (!sale->sold) return sale->reason == "insufficient_stock" ? "" : sale->reason;
    ++sold;
  }
}

int SellOut(Storefront& store, const std::string& sku, uint64_t buyers) {
  const auto product = store.Find(sku);
  if (!product) return Failed(product.error());
  const std::string run = MadeUp();
  std::atomic<uint64_t> sold = 0;
  std::vector<std::string> wrong(buyers);
  std::vector<std::thread> threads;
  for (uint64_t buyer = 0; buyer < buyers; ++buyer) {
    threads.emplace_back(
        [&, buyer] { wrong[buyer] = BuyAll(store, run, buyer + 1, *product, sold); });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t buyer = 0; buyer < buyers; ++buyer) {
    if (wrong[buyer].empty()) continue;
    std::cerr << "buyer-" << buyer + 1 << ": " << wrong[buyer] << "\n";
    return 2;
  }
  std::cout << sku << ": " << sold << " sold to " << buyers << " buyers, none is left\n";
  return 0;
}

int Audit(Storefront& store) {
  const auto books = store.Audit();
  if (!books) return Failed(books.error());
  for (const orders::Product& product : books->products) {
    std::cout << product.sku() << ": " << product.received() << " received, " << product.reserved()
              << " sold, " << product.available() << " left\n";
  }
  std::cout << "goods for " << books->goods << ", " << books->spent << " spent, " << books->till
            << " in the till; " << books->orders << " orders, " << books->parcels
            << " parcels: " << (books->Agree() ? "they agree" : "THEY DO NOT AGREE") << "\n";
  return books->Agree() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string command = words.size() < 2 ? "" : words[1];
  const auto is = [&](const char* name, size_t arguments) {
    return command == name && words.size() == 2 + arguments;
  };
  const auto number = [&](size_t word, uint64_t max) {
    return word < words.size() ? ParseNumber(words[word], max) : std::nullopt;
  };
  const auto endpoints = client::ParseEndpoints(words.empty() ? "" : words[0]);
  if (endpoints) {
    client::Client nodes(*endpoints);
    Storefront store(nodes);
    const auto price = number(3, 1'000'000'000);
    const auto quantity = number(4, 1'000'000);
    const auto pieces = number(5, 1'000'000);
    const auto buyers = number(3, kBuyersMax);
    if ((is("stock", 3) || is("stock", 4)) && price && quantity) {
      const std::string delivery = words.size() > 5 ? words[5] : MadeUp();
      return Stock(store, words[2], *price, *quantity, delivery);
    }
    if (is("products", 0)) return Products(store);
    if (is("buy", 4) && pieces) return Buy(store, words[2], words[3], words[4], *pieces);
    if (is("status", 1)) return Status(store, words[2]);
    if (is("sale", 2) && buyers) return SellOut(store, words[2], *buyers);
    if (is("audit", 0)) return Audit(store);
  }
  std::cerr << "usage: shop HOST:PORT,... stock SKU PRICE QUANTITY [DELIVERY] | products |\n"
               "       buy ORDER CUSTOMER SKU QUANTITY | status ORDER | sale SKU BUYERS | audit\n";
  return 64;
}
