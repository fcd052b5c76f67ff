import Foundation
import Transport

/// The broker's management API, as far as tests need it.
package struct BrokerManagement: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// A queue as the API shows it. Counts lag by up to five seconds; for exact ones ask over AMQP.
    package struct Queue: Sendable, Decodable {
        package let name: String
        package let messages: Int?
        package let consumers: Int?
        /// Of a quorum queue: the node that leads it, and all nodes that hold it.
        package let leader: String?
        package let members: [String]?
        package let arguments: [String: Argument]

        package enum Argument: Sendable, Hashable, Decodable {
            case text(String)
            case number(Int)
            case other

            package init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let number = try? container.decode(Int.self) {
                    self = .number(number)
                } else if let text = try? container.decode(String.self) {
                    self = .text(text)
                } else {
                    self = .other
                }
            }
        }
    }

    /// A connection as the API shows it; new ones appear after up to five seconds.
    package struct OpenConnection: Sendable, Decodable {
        package let name: String
        package let vhost: String?
        /// What the client called itself.
        package let clientName: String?

        private enum CodingKeys: String, CodingKey {
            case name, vhost
            case clientName = "user_provided_name"
        }
    }

    /// One for all: it keeps its connections for the next test.
    private static let client = HTTPClient(name: "management")

    private let base: URL
    private let credentials: HTTPRequest.BasicAuth

    /// - Parameter address: `http://user:password@host:port`.
    package init(address: String) throws {
        guard var components = URLComponents(string: address), let user = components.user,
            let password = components.password
        else { throw Failure(description: "RABBITMQ_MANAGEMENT_URL must look like http://user:password@host:port") }
        components.user = nil
        components.password = nil
        components.path = ""
        guard let base = components.url else { throw Failure(description: "RABBITMQ_MANAGEMENT_URL is malformed") }
        self.base = base
        credentials = .init(user: user, password: password)
    }

    /// The API at `RABBITMQ_MANAGEMENT_URL`.
    package static func fromEnvironment() throws -> BrokerManagement {
        try BrokerManagement(address: environment("RABBITMQ_MANAGEMENT_URL"))
    }

    /// A variable that tests cannot do without.
    package static func environment(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            throw Failure(
                description: "\(name) is not set: start the test services and load their environment before testing")
        }
        return value
    }

    package func createVirtualHost(_ name: String, user: String) async throws {
        try await send("PUT", "/api/vhosts/\(escape(name))")
        try await send(
            "PUT", "/api/permissions/\(escape(name))/\(escape(user))",
            body: #"{"configure":".*","write":".*","read":".*"}"#)
    }

    package func deleteVirtualHost(_ name: String) async throws {
        try await send("DELETE", "/api/vhosts/\(escape(name))")
    }

    /// Creates a user who may do in the virtual host what the patterns say.
    package func createUser(
        _ name: String, password: String, virtualHost: String, configure: String = ".*", write: String = ".*",
        read: String = ".*"
    ) async throws {
        try await send("PUT", "/api/users/\(escape(name))", body: #"{"password":"\#(password)","tags":""}"#)
        try await send(
            "PUT", "/api/permissions/\(escape(virtualHost))/\(escape(name))",
            body: #"{"configure":"\#(configure)","write":"\#(write)","read":"\#(read)"}"#)
    }

    package func deleteUser(_ name: String) async throws {
        try await send("DELETE", "/api/users/\(escape(name))")
    }

    package func queue(_ name: String, virtualHost: String) async throws -> Queue {
        try JSONDecoder().decode(
            Queue.self, from: await send("GET", "/api/queues/\(escape(virtualHost))/\(escape(name))"))
    }

    package func queues(virtualHost: String) async throws -> [Queue] {
        try JSONDecoder().decode([Queue].self, from: await send("GET", "/api/queues/\(escape(virtualHost))"))
    }

    /// Publishes past every client of ours; an unroutable message is an error.
    package func publish(
        _ body: [UInt8], virtualHost: String, exchange: String, routingKey: String, messageID: String, type: String
    ) async throws {
        let message: [String: Any] = [
            "routing_key": routingKey, "payload": Data(body).base64EncodedString(), "payload_encoding": "base64",
            "properties": [
                "message_id": messageID, "type": type, "delivery_mode": 2, "content_type": "application/json",
            ],
        ]
        let text = String(decoding: try JSONSerialization.data(withJSONObject: message), as: UTF8.self)
        let answer = try await send(
            "POST", "/api/exchanges/\(escape(virtualHost))/\(escape(exchange))/publish", body: text)
        guard String(decoding: answer, as: UTF8.self).contains("\"routed\":true") else {
            throw Failure(description: "a message to \(exchange) with key \(routingKey) reached no queue")
        }
    }

    package func connections(virtualHost: String) async throws -> [OpenConnection] {
        try JSONDecoder().decode(
            [OpenConnection].self, from: await send("GET", "/api/vhosts/\(escape(virtualHost))/connections"))
    }

    /// Has the broker close a connection (reply code 320).
    package func closeConnection(_ name: String) async throws {
        try await send("DELETE", "/api/connections/\(escape(name))")
    }

    @discardableResult
    private func send(_ method: String, _ path: String, body: String? = nil) async throws -> Data {
        let response = try await Self.client.send(
            HTTPRequest(
                method: method, url: base.absoluteString + path,
                headers: body == nil ? [:] : ["Content-Type": "application/json"], body: body.map { Array($0.utf8) },
                timeout: .seconds(20), basicAuth: credentials))
        guard (200..<300).contains(response.status) else {
            let text = String(decoding: response.body.prefix(200), as: UTF8.self)
            throw Failure(description: "\(method) \(path): \(response.status) \(text)")
        }
        return Data(response.body)
    }

    private func escape(_ segment: String) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        return segment.addingPercentEncoding(withAllowedCharacters: allowed) ?? segment
    }
}
