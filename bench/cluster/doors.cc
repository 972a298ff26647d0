#include "bench/cluster/doors.h"

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

class SingleCallsScript : public Script {
 public:
  SingleCallsScript(Draw draw, Judge judge) : draw_(std::move(draw)), judge_(std::move(judge)) {}
  Ask Begin() override { return draw_(); }
  std::variant<Ask, int> Next(const std::string* reply) override {
    return reply == nullptr ? 0 : judge_(*reply);
  }

 private:
  const Draw draw_;
  const Judge judge_;
};

// Carries out a script; how a call is sent is the door's.
class ScriptCaller : public Caller {
 public:
  explicit ScriptCaller(std::unique_ptr<Script> script) : script_(std::move(script)) {}
  void Begin(Done done) final {
    done_ = std::move(done);
    Send(script_->Begin());
  }

 protected:
  virtual void Send(Ask ask) = 0;
  // Null: the call failed.
  void Answered(const std::string* reply) {
    std::variant<Ask, int> next = script_->Next(reply);
    if (Ask* ask = std::get_if<Ask>(&next)) return Send(std::move(*ask));
    Done done = std::move(done_);
    done(std::get<int>(next));
  }

 private:
  const std::unique_ptr<Script> script_;
  Done done_;
};

// --- Pipe

class PipeCaller : public ScriptCaller {
 public:
  PipeCaller(std::shared_ptr<client::Client> client, std::unique_ptr<Script> script)
      : ScriptCaller(std::move(script)), client_(std::move(client)) {}

 private:
  void Send(Ask ask) override {
    client::CallOptions options;
    options.consistency = ask.consistency;
    client_->CallAsync(
        ask.method, std::move(ask.body), options,
        [this](const Result<client::Reply>& reply) { Answered(reply ? &reply->body : nullptr); });
  }

  const std::shared_ptr<client::Client> client_;
};

// --- gRPC

class GrpcCaller : public ScriptCaller {
 public:
  GrpcCaller(std::shared_ptr<grpc::GenericStub> stub, std::unique_ptr<Script> script)
      : ScriptCaller(std::move(script)), stub_(std::move(stub)) {}

 private:
  void Send(Ask ask) override {
    context_ = std::make_unique<grpc::ClientContext>();
    const grpc::Slice slice(ask.body);
    request_ = grpc::ByteBuffer(&slice, 1);
    stub_->UnaryCall(
        context_.get(), ask.method, {}, &request_, &reply_, [this](const grpc::Status& status) {
          grpc::Slice bytes;
          const bool good = status.ok() && reply_.DumpToSingleSlice(&bytes).ok();
          const std::string body(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
          reply_.Clear();
          Answered(good ? &body : nullptr);
        });
  }

  const std::shared_ptr<grpc::GenericStub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer reply_;
};

// --- HTTP

// The bare minimum, so that the load costs the machine little: requests written as they stand,
// replies with a Content-Length.
class HttpCaller : public ScriptCaller {
 public:
  HttpCaller(asio::io_context& io, uint16_t port, std::unique_ptr<Script> script)
      : ScriptCaller(std::move(script)), socket_(io) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    socket_.set_option(tcp::no_delay(true));
  }

 private:
  void Send(Ask ask) override {
    request_ = "POST " + ask.method +
               " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body;
    asio::async_write(socket_, asio::buffer(request_),
                      [this](boost::system::error_code error, size_t) {
                        if (error) return Answered(nullptr);
                        ReadHead();
                      });
  }
  void ReadHead() {
    asio::async_read_until(socket_, asio::dynamic_buffer(reply_), "\r\n\r\n",
                           [this](boost::system::error_code error, size_t head) {
                             if (error) return Answered(nullptr);
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
                       const std::string body = good ? reply_.substr(head, end - head) : "";
                       reply_.erase(0, end);
                       Answered(good ? &body : nullptr);
                     });
  }

  tcp::socket socket_;
  std::string request_;
  std::string reply_;
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

MakeScript SingleCalls(MakeDraw make, Judge judge) {
  return [make = std::move(make), judge = std::move(judge)](int client) {
    return std::make_unique<SingleCallsScript>(make(client), judge);
  };
}

Callers OverPipe(const std::vector<uint16_t>& ports, int clients, const MakeScript& make) {
  std::vector<std::string> endpoints;
  for (uint16_t port : ports) endpoints.push_back("127.0.0.1:" + std::to_string(port));
  client::Options options;
  options.auto_key = false;  // What is measured has ids of its own.
  auto shared = std::make_shared<client::Client>(endpoints, options);
  Callers callers;
  callers.shared = shared;
  for (int i = 0; i < clients; ++i) {
    callers.clients.push_back(std::make_unique<PipeCaller>(shared, make(i)));
  }
  return callers;
}

Callers OverGrpc(uint16_t port, int clients, const MakeScript& make) {
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
        std::make_unique<GrpcCaller>(stubs[static_cast<size_t>(i) % stubs.size()], make(i)));
  }
  return callers;
}

Callers OverHttp(uint16_t port, int clients, const MakeScript& make) {
  auto io = std::make_shared<IoThread>();
  Callers callers;
  callers.shared = io;
  for (int i = 0; i < clients; ++i) {
    callers.clients.push_back(std::make_unique<HttpCaller>(io->io, port, make(i)));
  }
  return callers;
}

}  // namespace holdfast::bench
