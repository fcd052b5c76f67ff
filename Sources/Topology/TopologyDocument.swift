internal import Yams

/// The topology file: the only place where exchanges, queues, bindings, tiers and permissions are named.
package struct TopologyDocument: Sendable, Hashable {
    /// An exchange, and where it sends what no binding takes.
    package struct ExchangeEntry: Sendable, Hashable {
        /// `direct`, `fanout` or `topic`.
        package let type: String
        /// The exchange for what no binding takes.
        package let alternate: String?
    }

    /// Retry tiers: name to delays in seconds, shortest first.
    package struct Retry: Sendable, Hashable {
        /// The direct exchange in front of them.
        package let exchange: String
        /// Messages, before publishes are refused.
        package let maxLength: Int
        /// Delays in seconds by tier, shortest first.
        package let tiers: [String: [Int]]
    }

    /// The dead-letter queues, one for each work queue.
    package struct DeadLetters: Sendable, Hashable {
        /// The direct exchange in front of them.
        package let exchange: String
        /// Messages, before publishes are refused.
        package let maxLength: Int
    }

    /// A queue that workers consume.
    package struct WorkQueue: Sendable, Hashable {
        /// Returns of a message before it is dead.
        package let deliveryLimit: Int
        /// Messages, before publishes are refused.
        package let maxLength: Int
        /// Names of tiers.
        package let tiers: [String]
        /// Routing keys by exchange.
        package let bindings: [String: [String]]
    }

    /// A queue where messages rest.
    package struct TerminalQueue: Sendable, Hashable {
        /// Messages, before publishes are refused.
        package let maxLength: Int
        /// Routing keys by exchange.
        package let bindings: [String: [String]]
    }

    /// A broker user for one kind of process.
    package struct Role: Sendable, Hashable {
        /// What its user may do.
        package let permission: Permission
        /// Rights over the management interface.
        package let tags: [String]
    }

    /// The oldest broker the topology works on.
    package let minimumVersion: BrokerVersion
    /// Of every policy of this file.
    package let policyPriority: Int
    /// By name.
    package let exchanges: [String: ExchangeEntry]
    /// The tiers.
    package let retry: Retry
    /// What the dead-letter queues have in common.
    package let deadLetters: DeadLetters
    /// By name.
    package let workQueues: [String: WorkQueue]
    /// By name.
    package let terminalQueues: [String: TerminalQueue]
    /// By name; the broker user is `neff-<role>`.
    package let roles: [String: Role]

    /// Reads the YAML text.
    /// - Throws: `invalidDocument`, naming the entry; unknown keys are refused, so that a misspelt one cannot be lost.
    package static func load(yaml: String) throws(TopologyError) -> TopologyDocument {
        do {
            let document = try YAMLDecoder().decode(TopologyDocument.self, from: yaml)
            try document.validate()
            return document
        } catch let error as TopologyError {
            throw error
        } catch let error as DecodingError {
            throw TopologyError(.invalidDocument, Self.explain(error))
        } catch {
            throw TopologyError(.invalidDocument, "the topology file is not valid YAML: \(error)")
        }
    }

    /// The topology this program was built with.
    package static func shipped() throws(TopologyError) -> TopologyDocument {
        try load(yaml: String(decoding: PackageResources.topology_yaml, as: UTF8.self))
    }

    /// The virtual host that is used unless the broker's address names another.
    package static let defaultVirtualHost = "neff"

    /// The broker user of a role.
    package static func user(of role: String) -> String { "neff-\(role)" }

    /// The dead-letter queue of a work queue.
    package static func deadLetterQueue(of workQueue: String) -> String { "\(workQueue).dead" }

    /// The retry tiers of a work queue, shortest first; empty for a name that is no work queue.
    package func retryTiers(of workQueue: String) -> [RetryTier] {
        (workQueues[workQueue]?.tiers ?? []).compactMap { name in
            guard let seconds = retry.tiers[name] else { return nil }
            let letters = seconds.count == 1 ? [""] : ["a", "b", "c", "d", "e"].map { ".\($0)" }
            return RetryTier(
                name: name,
                siblings: zip(seconds, letters).map { seconds, letter in
                    RetryTier.Sibling(queue: "\(workQueue).retry.\(name)\(letter)", delay: .seconds(seconds))
                })
        }
        .sorted { $0.nominalDelay < $1.nominalDelay }
    }

    private static func explain(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
            let path = (context.codingPath + (key.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "the topology file" : "the topology file, at \(path)"
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(place(context, key)): this key is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "\(place(context)): \(context.debugDescription)"
        @unknown default: "the topology file cannot be read"
        }
    }
}
