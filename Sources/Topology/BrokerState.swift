/// What a virtual host holds, or is meant to hold. The wanted state and the one found have the same type, so the same
/// check and the same comparison serve both.
package struct BrokerState: Sendable, Hashable {
    /// Exchanges by name, without the default exchange and those the broker makes itself (`amq.*`).
    package var exchanges: [String: Exchange] = [:]
    /// Queues by name.
    package var queues: [String: Queue] = [:]
    /// Bindings, without the default exchange's own.
    package var bindings: Set<Binding> = []
    /// Policies by name.
    package var policies: [String: Policy] = [:]
    /// Users by name.
    package var users: [String: User] = [:]
    /// Permissions by user.
    package var permissions: [String: Permission] = [:]

    /// Makes a state with nothing in it.
    package init() {}
}

/// An exchange.
package struct Exchange: Sendable, Hashable {
    /// `direct`, `fanout`, `topic`, `headers` or a plug-in's type.
    package var type: String
    /// Whether it outlives a restart of the broker.
    package var isDurable = true
    /// Whether it goes away with its last user.
    package var isAutoDelete = false
    /// Whether clients may not publish to it.
    package var isInternal = false
    /// Declared with it; never changeable afterwards.
    package var arguments: Arguments = [:]

    /// A durable exchange without arguments.
    package init(type: String) {
        self.type = type
    }
}

/// A queue.
package struct Queue: Sendable, Hashable {
    /// What a queue is for.
    package enum Role: Sendable, Hashable {
        /// Workers consume it.
        case work
        /// Nobody consumes it: messages wait here and return to the work queue that owns it.
        case tier(of: String)
        /// Messages rest here until somebody deals with them.
        case terminal
    }

    /// Nil for a queue that the topology does not name.
    package var role: Role?
    /// Whether it outlives a restart of the broker.
    package var isDurable = true
    /// Whether it goes away with its last user.
    package var isAutoDelete = false
    /// Declared with it; never changeable afterwards.
    package var arguments: Arguments

    /// A durable quorum queue.
    package init(role: Role?) {
        self.role = role
        arguments = ["x-queue-type": "quorum"]
    }

    /// `quorum`, `classic` or `stream`; a queue that does not say is classic.
    package var type: String { arguments["x-queue-type"]?.string ?? "classic" }
}

/// A binding of a queue, or of another exchange, to an exchange.
package struct Binding: Sendable, Hashable, Comparable {
    /// What is bound.
    package enum Kind: String, Sendable, Hashable { case queue, exchange }

    /// The exchange.
    package var source: String
    /// Queue or exchange.
    package var kind: Kind = .queue
    /// What is bound.
    package var destination: String
    /// The binding key; for a topic exchange a pattern.
    package var routingKey: String
    /// Declared with it; never changeable afterwards.
    package var arguments: Arguments = [:]

    /// A queue's binding without arguments.
    package init(source: String, destination: String, routingKey: String) {
        self.source = source
        self.destination = destination
        self.routingKey = routingKey
    }

    package static func < (left: Binding, right: Binding) -> Bool {
        (left.source, left.destination, left.routingKey) < (right.source, right.destination, right.routingKey)
    }
}

/// A policy: settings for every queue or exchange whose name matches.
package struct Policy: Sendable, Hashable {
    /// A regular expression, matched anywhere in the name unless it is anchored.
    package var pattern: String
    /// `queues`, `exchanges`, `all`; from 3.12 on also `quorum_queues`, `classic_queues`, `streams`.
    package var appliesTo: String
    /// Of several that match, only the highest counts.
    package var priority: Int
    /// The settings, named without `x-`.
    package var definition: Arguments

    /// Makes a policy.
    package init(pattern: String, appliesTo: String, priority: Int, definition: Arguments) {
        self.pattern = pattern
        self.appliesTo = appliesTo
        self.priority = priority
        self.definition = definition
    }

    /// A pattern that matches exactly this name.
    package static func pattern(exactly name: String) -> String {
        "^" + name.replacing(".", with: "\\.") + "$"
    }
}

/// A broker user.
package struct User: Sendable, Hashable {
    /// Rights over the management interface: `administrator`, `monitoring`, `policymaker`, `management`.
    package var tags: Set<String>
    /// Salted SHA-256; nil when it is not known. An empty one refuses every password.
    package var passwordHash: PasswordHash?

    /// Makes a user.
    package init(tags: Set<String> = [], passwordHash: PasswordHash? = nil) {
        self.tags = tags
        self.passwordHash = passwordHash
    }
}

/// What a user may do in the virtual host: three regular expressions over names.
package struct Permission: Sendable, Hashable {
    /// What it may declare and delete.
    package var configure: String
    /// What it may publish to and bind.
    package var write: String
    /// What it may consume and bind from.
    package var read: String

    /// Makes a permission; `^$` matches no name.
    package init(configure: String = "^$", write: String = "^$", read: String = "^$") {
        self.configure = configure
        self.write = write
        self.read = read
    }
}
