extension TopologyDocument: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case version, broker, exchanges, retry, roles
        case policyPriority = "policy_priority"
        case deadLetters = "dead_letters"
        case workQueues = "work_queues"
        case terminalQueues = "terminal_queues"
    }

    private struct Broker: Decodable {
        enum CodingKeys: String, CodingKey, CaseIterable { case minimumVersion = "minimum_version" }
        let minimumVersion: BrokerVersion

        init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(CodingKeys.self)
            let text = try container.decode(String.self, forKey: .minimumVersion)
            guard let version = BrokerVersion(text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .minimumVersion, in: container, debugDescription: "not a version such as 3.10.0")
            }
            minimumVersion = version
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        guard try container.decode(Int.self, forKey: .version) == 1 else {
            throw DecodingError.dataCorruptedError(
                forKey: .version, in: container, debugDescription: "this program reads version 1")
        }
        minimumVersion = try container.decode(Broker.self, forKey: .broker).minimumVersion
        policyPriority = try container.decode(Int.self, forKey: .policyPriority)
        exchanges = try container.decode([String: ExchangeEntry].self, forKey: .exchanges)
        retry = try container.decode(Retry.self, forKey: .retry)
        deadLetters = try container.decode(DeadLetters.self, forKey: .deadLetters)
        workQueues = try container.decode([String: WorkQueue].self, forKey: .workQueues)
        terminalQueues = try container.decode([String: TerminalQueue].self, forKey: .terminalQueues)
        roles = try container.decode([String: Role].self, forKey: .roles)
    }
}

extension TopologyDocument.ExchangeEntry: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable { case type, alternate }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        type = try container.decode(String.self, forKey: .type)
        alternate = try container.decodeIfPresent(String.self, forKey: .alternate)
    }
}

extension TopologyDocument.Retry: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case exchange, tiers
        case maxLength = "max_length"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        exchange = try container.decode(String.self, forKey: .exchange)
        maxLength = try container.decode(Int.self, forKey: .maxLength)
        tiers = try container.decode([String: [Int]].self, forKey: .tiers)
    }
}

extension TopologyDocument.DeadLetters: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case exchange
        case maxLength = "max_length"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        exchange = try container.decode(String.self, forKey: .exchange)
        maxLength = try container.decode(Int.self, forKey: .maxLength)
    }
}

extension TopologyDocument.WorkQueue: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case tiers, bindings
        case deliveryLimit = "delivery_limit"
        case maxLength = "max_length"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        deliveryLimit = try container.decode(Int.self, forKey: .deliveryLimit)
        maxLength = try container.decode(Int.self, forKey: .maxLength)
        tiers = try container.decode([String].self, forKey: .tiers)
        bindings = try container.decode([String: [String]].self, forKey: .bindings)
    }
}

extension TopologyDocument.TerminalQueue: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case bindings
        case maxLength = "max_length"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        maxLength = try container.decode(Int.self, forKey: .maxLength)
        bindings = try container.decode([String: [String]].self, forKey: .bindings)
    }
}

extension TopologyDocument.Role: Decodable {
    enum CodingKeys: String, CodingKey, CaseIterable { case configure, write, read, tags }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(CodingKeys.self)
        permission = Permission(
            configure: try container.decodeIfPresent(String.self, forKey: .configure) ?? "^$",
            write: try container.decodeIfPresent(String.self, forKey: .write) ?? "^$",
            read: try container.decodeIfPresent(String.self, forKey: .read) ?? "^$")
        tags = try container.decodeIfPresent([String].self, forKey: .tags) ?? []
    }
}

private struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// A keyed container; a key that is not among the cases is an error, not ignored.
    fileprivate func strictContainer<Key: CodingKey & CaseIterable>(
        _ type: Key.Type
    ) throws -> KeyedDecodingContainer<Key> {
        let known = Set(Key.allCases.map(\.stringValue))
        for key in try container(keyedBy: AnyKey.self).allKeys where !known.contains(key.stringValue) {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: codingPath + [key],
                    debugDescription: "unknown key; known here: \(known.sorted().joined(separator: ", "))"))
        }
        return try container(keyedBy: type)
    }
}
