// The JSON of RabbitMQ's management API and definitions files, which write the same entries the same way.

struct ExchangeEntry: Codable {
    var vhost: String?
    var name: String?
    let type: String
    let durable: Bool
    let autoDelete: Bool
    let isInternal: Bool
    @LenientArguments var arguments: Arguments

    enum CodingKeys: String, CodingKey {
        case vhost, name, type, durable, arguments
        case autoDelete = "auto_delete"
        case isInternal = "internal"
    }

    init(vhost: String? = nil, name: String? = nil, _ exchange: Exchange) {
        self.vhost = vhost
        self.name = name
        type = exchange.type
        durable = exchange.isDurable
        autoDelete = exchange.isAutoDelete
        isInternal = exchange.isInternal
        _arguments = LenientArguments(wrappedValue: exchange.arguments)
    }

    var exchange: Exchange {
        var exchange = Exchange(type: type)
        exchange.isDurable = durable
        exchange.isAutoDelete = autoDelete
        exchange.isInternal = isInternal
        exchange.arguments = arguments
        return exchange
    }
}

struct QueueEntry: Codable {
    var vhost: String?
    var name: String?
    let durable: Bool
    let autoDelete: Bool
    @LenientArguments var arguments: Arguments
    /// Only in answers.
    var exclusive: Bool?
    var effectivePolicyDefinition: LenientArguments?

    enum CodingKeys: String, CodingKey {
        case vhost, name, durable, arguments, exclusive
        case autoDelete = "auto_delete"
        case effectivePolicyDefinition = "effective_policy_definition"
    }

    init(vhost: String? = nil, name: String? = nil, _ queue: Queue) {
        self.vhost = vhost
        self.name = name
        durable = queue.isDurable
        autoDelete = queue.isAutoDelete
        _arguments = LenientArguments(wrappedValue: queue.arguments)
    }

    var queue: Queue {
        var queue = Queue(role: nil)
        queue.isDurable = durable
        queue.isAutoDelete = autoDelete
        queue.arguments = arguments
        return queue
    }
}

struct BindingEntry: Codable {
    var vhost: String?
    let source: String
    let destination: String
    let destinationType: String
    let routingKey: String
    @LenientArguments var arguments: Arguments
    /// Only in answers: how the management API names this binding.
    var propertiesKey: String?

    enum CodingKeys: String, CodingKey {
        case vhost, source, destination, arguments
        case destinationType = "destination_type"
        case routingKey = "routing_key"
        case propertiesKey = "properties_key"
    }

    init(vhost: String, _ binding: Binding) {
        self.vhost = vhost
        source = binding.source
        destination = binding.destination
        destinationType = binding.kind.rawValue
        routingKey = binding.routingKey
        _arguments = LenientArguments(wrappedValue: binding.arguments)
    }

    var binding: Binding {
        var binding = Binding(source: source, destination: destination, routingKey: routingKey)
        binding.kind = destinationType == "exchange" ? .exchange : .queue
        binding.arguments = arguments
        return binding
    }
}

struct PolicyEntry: Codable {
    var vhost: String?
    var name: String?
    let pattern: String
    let appliesTo: String
    let priority: Int
    @LenientArguments var definition: Arguments

    enum CodingKeys: String, CodingKey {
        case vhost, name, pattern, priority, definition
        case appliesTo = "apply-to"
    }

    init(vhost: String? = nil, name: String? = nil, _ policy: Policy) {
        self.vhost = vhost
        self.name = name
        pattern = policy.pattern
        appliesTo = policy.appliesTo
        priority = policy.priority
        _definition = LenientArguments(wrappedValue: policy.definition)
    }

    var policy: Policy {
        Policy(pattern: pattern, appliesTo: appliesTo, priority: priority, definition: definition)
    }
}

struct UserEntry: Codable {
    var name: String?
    let passwordHash: String?
    var hashingAlgorithm: String? = "rabbit_password_hashing_sha256"
    let tags: Tags

    enum CodingKeys: String, CodingKey {
        case name, tags
        case passwordHash = "password_hash"
        case hashingAlgorithm = "hashing_algorithm"
    }

    /// A list; a request and brokers before 3.9 write it with commas.
    struct Tags: Codable {
        let names: Set<String>

        init(names: Set<String>) { self.names = names }

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let list = try? container.decode([String].self) {
                names = Set(list)
            } else {
                names = Set(try container.decode(String.self).split(separator: ",").map { String($0) })
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(names.sorted().joined(separator: ","))
        }
    }

    init(name: String? = nil, _ user: User) {
        self.name = name
        passwordHash = user.passwordHash?.base64 ?? ""
        tags = Tags(names: user.tags)
    }

    var user: User { User(tags: tags.names, passwordHash: passwordHash.map { PasswordHash(base64: $0) }) }
}

struct PermissionEntry: Codable {
    var user: String?
    var vhost: String?
    let configure: String
    let write: String
    let read: String

    init(user: String? = nil, vhost: String? = nil, _ permission: Permission) {
        self.user = user
        self.vhost = vhost
        configure = permission.configure
        write = permission.write
        read = permission.read
    }

    var permission: Permission { Permission(configure: configure, write: write, read: read) }
}

/// Arguments that an Erlang server may write as `[]` when there are none.
@propertyWrapper
struct LenientArguments: Codable {
    var wrappedValue: Arguments

    init(wrappedValue: Arguments) { self.wrappedValue = wrappedValue }

    init(from decoder: any Decoder) throws {
        switch try decoder.singleValueContainer().decode(ArgumentValue.self) {
        case .table(let values): wrappedValue = values
        default: wrappedValue = [:]
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}
