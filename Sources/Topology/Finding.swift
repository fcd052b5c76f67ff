/// Something that is wrong with a topology, wanted or found, and what to do about it.
package struct Finding: Sendable, Hashable, CustomStringConvertible {
    /// Whether work may go on.
    package enum Severity: String, Sendable, Hashable, Comparable {
        case warning, error

        package static func < (left: Severity, right: Severity) -> Bool { left == .warning && right == .error }
    }

    /// Which rule is broken; the raw value is stable and documented in docs/topology.md.
    package enum Rule: String, Sendable, Hashable, CaseIterable {
        // The dead-letter graph
        case automaticCycle = "automatic-cycle"
        case rejectionCycle = "rejection-cycle"
        case missingDeath = "missing-death"
        case missingDeliveryLimit = "missing-delivery-limit"
        case unlimitedDeliveries = "unlimited-deliveries"
        case atMostOnceHop = "at-most-once-hop"
        case rejectPublishDeadLetter = "reject-publish-dlx"
        case dropsHead = "drops-head"
        case unboundedQueue = "unbounded-queue"
        case deadLetterExchangeMissing = "dead-letter-exchange-missing"
        case deadLetterUnroutable = "dead-letter-unroutable"
        case deadLetterKeyNotFixed = "dead-letter-key-not-fixed"
        // Tiers and terminals
        case sharedTier = "shared-tier"
        case tierReturnsThroughBinding = "tier-returns-through-binding"
        case tierWithoutTTL = "tier-without-ttl"
        case workQueueExpires = "work-queue-expires"
        case terminalLosesMessages = "terminal-loses-messages"
        // Queue types, arguments, policies
        case notQuorum = "not-quorum"
        case notDurable = "not-durable"
        case ignoredSetting = "ignored-setting"
        case refusedSetting = "refused-setting"
        case frozenArgument = "frozen-argument"
        case policyOverlap = "policy-overlap"
        case policyPatternInvalid = "policy-pattern-invalid"
        case policyTargetUnknown = "policy-target-unknown"
        case policyMatchesNothing = "policy-matches-nothing"
        // Routing and rights
        case danglingBinding = "dangling-binding"
        case unreachableQueue = "unreachable-queue"
        case missingAlternate = "missing-alternate"
        case alternateUnroutable = "alternate-unroutable"
        case permissionNotAnchored = "permission-not-anchored"
        case permissionTooWide = "permission-too-wide"
        // Found on a broker
        case brokerTooOld = "broker-too-old"
        case featureFlagDisabled = "feature-flag-disabled"
        case brokerAlarm = "broker-alarm"
        case missing = "missing"
        case drift = "drift"
        case foreign = "foreign"
        case overridden = "overridden"
        case queueUnavailable = "queue-unavailable"
        case userMissing = "user-missing"
        case notSeen = "not-seen"
        case canary = "canary"
    }

    /// Whether work may go on.
    package let severity: Severity
    /// The rule that is broken.
    package let rule: Rule
    /// What it is about, such as `queue sync`.
    package let subject: String
    /// What would happen, or has happened.
    package let problem: String
    /// What to do.
    package let remedy: String

    /// Makes a finding.
    package init(
        _ rule: Rule, _ subject: String, _ problem: String, remedy: String, severity: Severity = .error
    ) {
        self.severity = severity
        self.rule = rule
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { "\(severity): \(subject): \(problem) [\(rule.rawValue)]\n  → \(remedy)" }
}

extension [Finding] {
    /// Whether any of them is an error.
    package var hasErrors: Bool { contains { $0.severity == .error } }

    /// Errors first, then by subject.
    package var ranked: [Finding] {
        sorted { ($1.severity, $0.subject, $0.rule.rawValue) < ($0.severity, $1.subject, $1.rule.rawValue) }
    }
}
