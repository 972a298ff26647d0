#include "src/api/grpc/reflection.h"

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/support/status_code_enum.h>

#include <set>

#include "holdfast/health.pb.h"
#include "src/api/text.h"

namespace holdfast::api::grpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using ::grpc::reflection::v1alpha::ServerReflectionRequest;
using ::grpc::reflection::v1alpha::ServerReflectionResponse;

// The file and all it needs, each once, what is needed first.
void AppendFile(const FileDescriptor* file, std::set<const FileDescriptor*>* seen,
                ServerReflectionResponse* response) {
  if (!seen->insert(file).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) {
    AppendFile(file->dependency(i), seen, response);
  }
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(
      proto.SerializeAsString());
}

void AnswerFile(const FileDescriptor* file, std::string_view what,
                ServerReflectionResponse* response) {
  if (file == nullptr) {
    auto* error = response->mutable_error_response();
    error->set_error_code(::grpc::NOT_FOUND);
    error->set_error_message(Cat("there is no ", what));
    return;
  }
  std::set<const FileDescriptor*> seen;
  AppendFile(file, &seen, response);
}

}  // namespace

bool Reflection::Serves(std::string_view path) {
  return path == "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" ||
         path == "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
}

Reflection::Reflection(const state_machine::Registry& registry) {
  std::set<std::string> names;
  names.insert(::grpc::health::v1::HealthCheckRequest::descriptor()
                   ->file()
                   ->FindServiceByName("Health")
                   ->full_name());
  names.insert(ServerReflectionRequest::descriptor()
                   ->file()
                   ->FindServiceByName("ServerReflection")
                   ->full_name());
  for (const auto& method : registry.methods()) {
    names.insert(method->descriptor->service()->full_name());
  }
  services_.assign(names.begin(), names.end());
}

ServerReflectionResponse Reflection::Answer(const ServerReflectionRequest& request) const {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : services_) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(pool.FindFileByName(request.file_by_filename()),
                 Cat("file ", request.file_by_filename()), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(pool.FindFileContainingSymbol(request.file_containing_symbol()),
                 Cat("symbol ", request.file_containing_symbol()), &response);
      break;
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& wanted = request.file_containing_extension();
      const Descriptor* type = pool.FindMessageTypeByName(wanted.containing_type());
      const FieldDescriptor* extension =
          type == nullptr ? nullptr : pool.FindExtensionByNumber(type, wanted.extension_number());
      AnswerFile(extension == nullptr ? nullptr : extension->file(),
                 Cat("extension ", wanted.extension_number(), " of ", wanted.containing_type()),
                 &response);
      break;
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      const std::string& name = request.all_extension_numbers_of_type();
      const Descriptor* type = pool.FindMessageTypeByName(name);
      if (type == nullptr) {
        AnswerFile(nullptr, "type " + name, &response);
        break;
      }
      std::vector<const FieldDescriptor*> extensions;
      pool.FindAllExtensions(type, &extensions);
      auto* numbers = response.mutable_all_extension_numbers_response();
      numbers->set_base_type_name(name);
      for (const FieldDescriptor* extension : extensions) {
        numbers->add_extension_number(extension->number());
      }
      break;
    }
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET: {
      auto* error = response.mutable_error_response();
      error->set_error_code(::grpc::INVALID_ARGUMENT);
      error->set_error_message("the request asks for nothing");
      break;
    }
  }
  return response;
}

}  // namespace holdfast::api::grpc
