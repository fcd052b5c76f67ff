// Every message that enters reaches a queue, and every user reaches only what its role needs.
extension StaticCheck {
    func bindingFindings() -> [Finding] {
        state.bindings.sorted().compactMap { binding in
            let isThere =
                state.exchanges[binding.source] != nil
                && (binding.kind == .queue
                    ? state.queues[binding.destination] != nil : state.exchanges[binding.destination] != nil)
            return isThere
                ? nil
                : Finding(
                    .danglingBinding, "binding \(binding.source) → \(binding.destination)",
                    "the exchange or the \(binding.kind.rawValue) does not exist",
                    remedy: "name an exchange and a queue of this file")
        }
    }

    func reachabilityFindings(_ name: String, _ role: Queue.Role) -> [Finding] {
        guard !state.bindings.contains(where: { $0.kind == .queue && $0.destination == name }) else { return [] }
        return [
            Finding(
                .unreachableQueue, "queue \(name)", "no exchange leads to it",
                remedy: role == .work ? "give it bindings, or remove it" : "bind it, or remove it")
        ]
    }

    /// An unroutable message is confirmed like any other and gone, unless the exchange has an alternate.
    func alternateFindings() -> [Finding] {
        state.exchanges.keys.sorted().compactMap { name in
            guard let alternate = state.alternateExchange(of: name) else {
                guard state.exchanges[name]?.type == "topic" else { return nil }
                return Finding(
                    .missingAlternate, "exchange \(name)",
                    "a message that no binding takes is confirmed to its publisher and thrown away",
                    remedy: "give it an alternate exchange")
            }
            guard state.queues(reachedFrom: alternate, routingKey: "any.key.at.all").isEmpty else { return nil }
            return Finding(
                .alternateUnroutable, "exchange \(name)",
                "its alternate exchange \(alternate) does not exist or leads to no queue",
                remedy: "make \(alternate) a fanout exchange with a terminal queue")
        }
    }

    /// The broker matches permission patterns anywhere in a name: `dead` would allow `undead.letters` too.
    func permissionFindings() -> [Finding] {
        state.permissions.sorted { $0.key < $1.key }.filter { state.users[$0.key] != nil }.flatMap { user, permission in
            [("configure", permission.configure), ("write", permission.write), ("read", permission.read)]
                .compactMap { right, pattern -> Finding? in
                    let subject = "user \(user), \(right)"
                    guard !pattern.isEmpty else { return nil }
                    guard Self.isAnchored(pattern), let compiled = Pattern(pattern) else {
                        return Finding(
                            .permissionNotAnchored, subject, "\(pattern) matches names it does not spell out",
                            remedy: "write ^(one|other)$")
                    }
                    guard !compiled.matches("no-such-thing") else {
                        return Finding(
                            .permissionTooWide, subject, "\(pattern) matches everything",
                            remedy: "name what the role needs")
                    }
                    return nil
                }
        }
    }

    /// Whether the pattern begins with `^`, ends with `$` and has no alternative outside parentheses.
    static func isAnchored(_ pattern: String) -> Bool {
        guard pattern.hasPrefix("^"), pattern.hasSuffix("$"), !pattern.hasSuffix("\\$") else { return false }
        var depth = 0
        for character in pattern {
            switch character {
            case "(": depth += 1
            case ")": depth -= 1
            case "|" where depth == 0: return false
            default: break
            }
        }
        return depth == 0
    }
}
