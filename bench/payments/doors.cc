#include "bench/payments/doors.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio.hpp>
#include <charconv>
#include <thread>

#include "src/client/client.h"

namespace holdfast::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int kGrpcConnections = 4;

// --- Pipe

class PipeCaller : public Caller {
 public:
  PipeCaller(std::shared_ptr<client::Client> client, Draw draw, const Judge& judge)
      : client_(std::move(client)), draw_(std::move(draw)), judge_(judge) {}
  void Begin(Done done) override {
    Ask ask = draw_();
    client::CallOptions options;
    options.consistency = ask.consistency;
    client_->CallAsync(ask.method, std::move(ask.body), options,
                       [this, done = std::move(done)](Result<client::Reply> reply) mutable {
                         done(reply ? judge_(reply->body) : 0);
                       });
  }

 private:
  const std::shared_ptr<client::Client> client_;
  const Draw draw_;
  const Judge judge_;
};

// --- gRPC

class GrpcCaller : public Caller {
 public:
  GrpcCaller(std::shared_ptr<grpc::GenericStub> stub, Draw draw, const Judge& judge)
      : stub_(std::move(stub)), draw_(std::move(draw)), judge_(judge) {}
  void Begin(Done done) override {
    const Ask ask = draw_();
    context_ = std::make_unique<grpc::ClientContext>();
    const grpc::Slice slice(ask.body);
    request_ = grpc::ByteBuffer(&slice, 1);
    done_ = std::move(done);
    stub_->UnaryCall(
        context_.get(), ask.method, {}, &request_, &reply_, [this](const grpc::Status& status) {
          int count = 0;
          grpc::Slice bytes;
          if (status.ok() && reply_.DumpToSingleSlice(&bytes).ok()) {
            count = judge_(std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size()));
          }
          reply_.Clear();
          Done finished = std::move(done_);
          finished(count);
        });
  }

 private:
  const std::shared_ptr<grpc::GenericStub> stub_;
  const Draw draw_;
  const Judge judge_;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer reply_;
  Done done_;
};

// --- HTTP

// The bare minimum, so that the load costs the machine little: requests written as they stand,
// replies with a Content-Length.
class HttpCaller : public Caller {
 public:
  HttpCaller(asio::io_context& io, uint16_t port, Draw draw, const Judge& judge)
      : socket_(io), draw_(std::move(draw)), judge_(judge) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    socket_.set_option(tcp::no_delay(true));
  }
  void Begin(Done done) override {
    done_ = std::move(done);
    const Ask ask = draw_();
    request_ = "POST " + ask.method +
               " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body;
    asio::async_write(socket_, asio::buffer(request_),
                      [this](boost::system::error_code error, size_t) {
                        if (error) return Finish(0);
                        ReadHead();
                      });
  }

 private:
  void ReadHead() {
    asio::async_read_until(socket_, asio::dynamic_buffer(reply_), "\r\n\r\n",
                           [this](boost::system::error_code error, size_t head) {
                             if (error) return Finish(0);
                             ReadBody(head);
                           });
  }
  void ReadBody(size_t head) {
    constexpr std::string_view kName = "Content-Length: ";
    const size_t at = std::string_view(reply_).substr(0, head).find(kName);
    size_t length = 0;
    if (at != std::string::npos) {
      const char* begin = reply_.data() + at + kName.size();
      std::from_chars(begin, reply_.data() + head, length);
    }
    const size_t end = head + length;
    const size_t missing = end > reply_.size() ? end - reply_.size() : 0;
    asio::async_read(socket_, asio::dynamic_buffer(reply_), asio::transfer_exactly(missing),
                     [this, head, end](boost::system::error_code error, size_t) {
                       const bool good = !error && reply_.compare(9, 1, "2") == 0;
                       const int count = good ? judge_(reply_.substr(head, end - head)) : 0;
                       reply_.erase(0, end);
                       Finish(count);
                     });
  }
  void Finish(int count) {
    Done done = std::move(done_);
    done(count);
  }

  tcp::socket socket_;
  const Draw draw_;
  const Judge judge_;
  std::string request_;
  std::string reply_;
  Done done_;
};

struct IoThread {
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::thread thread{[this] { io.run(); }};
  ~IoThread() {
    io.stop();
    thread.join();
  }
};

}  // namespace

Callers OverPipe(const std::vector<uint16_t>& ports, int clients, const MakeDraw& make,
                 const Judge& judge) {
  std::vector<std::string> endpoints;
  for (uint16_t port : ports) endpoints.push_back("127.0.0.1:" + std::to_string(port));
  client::Options options;
  options.auto_key = false;  // Transfers have ids of their own.
  auto shared = std::make_shared<client::Client>(endpoints, options);
  Callers callers;
  callers.shared = shared;
  for (int i = 0; i < clients; ++i) {
    callers.clients.push_back(std::make_unique<PipeCaller>(shared, make(i), judge));
  }
  return callers;
}

Callers OverGrpc(uint16_t port, int clients, const MakeDraw& make, const Judge& judge) {
  std::vector<std::shared_ptr<grpc::GenericStub>> stubs;
  for (int i = 0; i < kGrpcConnections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("bench.connection", i);  // Else they would share one.
    stubs.push_back(std::make_shared<grpc::GenericStub>(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments)));
  }
  Callers callers;
  for (int i = 0; i < clients; ++i) {
    callers.clients.push_back(
        std::make_unique<GrpcCaller>(stubs[static_cast<size_t>(i) % stubs.size()], make(i), judge));
  }
  return callers;
}

Callers OverHttp(uint16_t port, int clients, const MakeDraw& make, const Judge& judge) {
  auto io = std::make_shared<IoThread>();
  Callers callers;
  callers.shared = io;
  for (int i = 0; i < clients; ++i) {
    callers.clients.push_back(std::make_unique<HttpCaller>(io->io, port, make(i), judge));
  }
  return callers;
}

}  // namespace holdfast::bench
