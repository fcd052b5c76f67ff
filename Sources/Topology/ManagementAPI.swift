internal import FoundationEssentials
package import Transport

/// RabbitMQ's management HTTP API for one virtual host. Changes need the administrator tag; for a look the tag monitoring
/// is enough, without users, permissions and feature flags.
package struct ManagementAPI: BrokerAdministration {
    /// Sends one request; `HTTPClient.send`, or a fake.
    package typealias Send = @Sendable (HTTPRequest) async throws(TransportError) -> HTTPResponse

    private let address: ManagementAddress
    private let virtualHost: String
    private let send: Send

    /// Opens nothing before the first request.
    package init(address: ManagementAddress, virtualHost: String, send: @escaping Send) {
        self.address = address
        self.virtualHost = virtualHost
        self.send = send
    }

    /// The same with a client of the caller's.
    package init(address: ManagementAddress, virtualHost: String, client: HTTPClient) {
        self.init(address: address, virtualHost: virtualHost) { request async throws(TransportError) in
            try await client.send(request)
        }
    }

    private var host: String { Self.escape(virtualHost) }

    package func survey() async throws(TopologyError) -> BrokerSurvey {
        struct Overview: Decodable {
            let version: String
            enum CodingKeys: String, CodingKey { case version = "rabbitmq_version" }
        }
        struct FeatureFlag: Decodable {
            let name: String
            let state: String
        }
        let overview: Overview = try await get("overview")
        guard let version = BrokerVersion(overview.version) else {
            throw TopologyError(.unexpectedAnswer, "the broker calls itself version \"\(overview.version)\"")
        }
        var survey = BrokerSurvey(version: version, virtualHost: virtualHost)
        let flags: [FeatureFlag]? = try await look("feature-flags", as: "feature flags", &survey)
        if let flags { survey.featureFlags = Set(flags.filter { $0.state == "enabled" }.map(\.name)) }
        survey.alarms = try await alarms()
        let users: [UserEntry]? = try await look("users", as: "users", &survey)
        for entry in users ?? [] { survey.state.users[entry.name ?? ""] = entry.user }
        // Of the virtual host itself only administrators may ask; of what is in it, whoever may enter.
        survey.virtualHostExists = try await request("GET", "exchanges/\(host)", accepting: [200, 404]).status == 200
        if survey.virtualHostExists { try await surveyVirtualHost(&survey) }
        return survey
    }

    private struct QueueFacts: Decodable {
        let name: String
        let policy: String?
        let state: String?
    }

    private func surveyVirtualHost(_ survey: inout BrokerSurvey) async throws(TopologyError) {
        let exchanges: [ExchangeEntry] = try await get("exchanges/\(host)")
        for entry in exchanges {
            guard let name = entry.name, !name.isEmpty, !name.hasPrefix("amq.") else { continue }
            survey.state.exchanges[name] = entry.exchange
        }
        let queues: [QueueEntry] = try await get("queues/\(host)")
        for entry in queues where entry.exclusive != true {
            guard let name = entry.name else { continue }
            survey.state.queues[name] = entry.queue
            survey.effectivePolicies[name] = entry.effectivePolicyDefinition?.wrappedValue
        }
        // Without statistics the answer comes from the broker's metadata and is never late.
        let facts: [QueueFacts] = try await get("queues/\(host)?disable_stats=true&enable_queue_totals=true")
        for entry in facts {
            survey.attachedPolicies[entry.name] = entry.policy
            survey.queueStates[entry.name] = entry.state
        }
        let operatorPolicies: [PolicyEntry] = try await get("operator-policies/\(host)")
        for entry in operatorPolicies { survey.operatorPolicies[entry.name ?? ""] = entry.policy }
        let bindings: [BindingEntry] = try await get("bindings/\(host)")
        survey.state.bindings = Set(bindings.filter { !$0.source.isEmpty }.map(\.binding))
        let policies: [PolicyEntry] = try await get("policies/\(host)")
        for entry in policies { survey.state.policies[entry.name ?? ""] = entry.policy }
        let permissions: [PermissionEntry]? = try await look("vhosts/\(host)/permissions", as: "permissions", &survey)
        for entry in permissions ?? [] { survey.state.permissions[entry.user ?? ""] = entry.permission }
    }

    /// Looks at what only administrators may see; nil, and noted in the survey, for anybody else.
    private func look<Answer: Decodable>(
        _ path: String, as what: String, _ survey: inout BrokerSurvey
    ) async throws(TopologyError) -> Answer? {
        let response = try await request("GET", path, accepting: [200, 401, 403])
        if response.status == 200 { return try Self.decode(response, path) }
        survey.unseen.insert(what)
        return nil
    }

    /// The health check answers 503 while an alarm is in effect.
    private func alarms() async throws(TopologyError) -> [String] {
        struct Check: Decodable {
            struct Alarm: Decodable {
                let node: String?
                let resource: String?
            }
            let reason: String?
            let alarms: [Alarm]?
        }
        let response = try await request("GET", "health/checks/alarms", accepting: [200, 503])
        guard response.status == 503 else { return [] }
        let check: Check = try Self.decode(response, "health/checks/alarms")
        let named = (check.alarms ?? []).map { "\($0.resource ?? "a resource") on \($0.node ?? "a node")" }
        return named.isEmpty ? [check.reason ?? "no reason given"] : named.sorted()
    }

    package func perform(_ change: Change) async throws(TopologyError) {
        switch change {
        case .createVirtualHost(let name):
            try await put("vhosts/\(Self.escape(name))", [String: String]())
            // Whoever made it is to be able to look into it; the broker grants nothing by itself.
            try await put(
                "permissions/\(Self.escape(name))/\(Self.escape(address.user))",
                PermissionEntry(Permission(configure: ".*", write: ".*", read: ".*")))
        case .declareExchange(let name, let exchange):
            try await put("exchanges/\(host)/\(Self.escape(name))", ExchangeEntry(exchange))
        case .declareQueue(let name, let queue):
            try await put("queues/\(host)/\(Self.escape(name))", QueueEntry(queue))
        case .putPolicy(let name, let policy, _):
            try await put("policies/\(host)/\(Self.escape(name))", PolicyEntry(policy))
        case .putUser(let name, let user, _):
            try await put("users/\(Self.escape(name))", UserEntry(user))
        case .permit(let user, let permission, _):
            try await put("permissions/\(host)/\(Self.escape(user))", PermissionEntry(permission))
        case .bind(let binding):
            try await post(Self.path(binding, host), BindingEntry(vhost: virtualHost, binding))
        case .unbind(let binding):
            try await unbind(binding)
        }
    }

    private static func path(_ binding: Binding, _ host: String) -> String {
        "bindings/\(host)/e/\(escape(binding.source))/\(binding.kind == .queue ? "q" : "e")/\(escape(binding.destination))"
    }

    /// A binding is deleted by a key that only the broker can tell.
    private func unbind(_ binding: Binding) async throws(TopologyError) {
        let path = Self.path(binding, host)
        let present: [BindingEntry] = try await get(path)
        for entry in present where entry.binding == binding {
            guard let key = entry.propertiesKey else { continue }
            try await request("DELETE", "\(path)/\(Self.escape(key))", accepting: [204, 404])
        }
    }

    private func get<Answer: Decodable>(_ path: String) async throws(TopologyError) -> Answer {
        try Self.decode(try await request("GET", path, accepting: [200]), path)
    }

    private func put(_ path: String, _ body: some Encodable) async throws(TopologyError) {
        try await request("PUT", path, body: body, accepting: [200, 201, 204])
    }

    private func post(_ path: String, _ body: some Encodable) async throws(TopologyError) {
        try await request("POST", path, body: body, accepting: [200, 201, 204])
    }

    @discardableResult
    private func request(
        _ method: String, _ path: String, body: (some Encodable)? = Int?.none, accepting: Set<Int>
    ) async throws(TopologyError) -> HTTPResponse {
        var request = HTTPRequest(method: method, url: "\(address.base)/api/\(path)", maxResponseBytes: 64 << 20)
        request.basicAuth = .init(user: address.user, password: address.password)
        request.caFile = address.caFile
        if let body {
            request.headers["Content-Type"] = "application/json"
            do {
                request.body = Array(try JSONEncoder().encode(body))
            } catch {
                throw TopologyError(.invalidDocument, "\(method) /api/\(path) cannot be written as JSON: \(error)")
            }
        }
        let response: HTTPResponse
        do {
            response = try await send(request)
        } catch {
            throw TopologyError(
                .unreachable,
                "no answer from the management API at \(address): \(error). Is the broker running, and is its plug-in "
                    + "rabbitmq_management enabled?")
        }
        guard !accepting.contains(response.status) else { return response }
        throw Self.refusal(response, "\(method) /api/\(path)", user: address.user)
    }

    private static func refusal(_ response: HTTPResponse, _ what: String, user: String) -> TopologyError {
        struct Body: Decodable {
            let reason: String?
        }
        let reason = (try? JSONDecoder().decode(Body.self, from: Data(response.body)))?.reason.map { ": \($0)" } ?? ""
        switch response.status {
        case 401, 403:
            return TopologyError(
                .accessRefused,
                "the broker refused \(what) to \(user)\(reason). Check the password; the user needs the tag "
                    + "administrator (rabbitmqctl set_user_tags \(user) administrator)")
        default:
            return TopologyError(.refused, "the broker answered \(what) with \(response.status)\(reason.prefix(500))")
        }
    }

    private static func decode<Answer: Decodable>(
        _ response: HTTPResponse, _ path: String
    ) throws(TopologyError) -> Answer {
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(response.body))
        } catch {
            throw TopologyError(
                .unexpectedAnswer, "the answer of /api/\(path) does not read as the management API's: \(error)")
        }
    }

    /// One segment of a path: everything but unreserved characters (RFC 3986, section 2.3) is encoded, the slash too.
    static func escape(_ segment: String) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in segment.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
