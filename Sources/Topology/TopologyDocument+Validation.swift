extension TopologyDocument {
    /// Refuses what would not even expand: names that clash or do not exist, numbers out of range. What can be expanded
    /// but would lose messages is the static check's business.
    func validate() throws(TopologyError) {
        func refuse(_ place: String, _ problem: String) throws(TopologyError) {
            throw TopologyError(.invalidDocument, "the topology file, at \(place): \(problem)")
        }
        for name in Set(exchanges.keys).union(workQueues.keys).union(terminalQueues.keys).union(roles.keys)
        where !Self.isPlainName(name) {
            try refuse(name, "names are lower-case letters, digits, dots and hyphens, and do not begin with \"amq.\"")
        }
        for (name, entry) in exchanges where !["direct", "fanout", "topic"].contains(entry.type) {
            try refuse("exchanges.\(name)", "type is direct, fanout or topic")
        }
        for (name, exchange) in [("retry", retry.exchange), ("dead_letters", deadLetters.exchange)]
        where exchanges[exchange]?.type != "direct" {
            try refuse("\(name).exchange", "\"\(exchange)\" must be a direct exchange of this file")
        }
        for (name, seconds) in retry.tiers {
            if !Self.isPlainName(name) || name.contains(".") { try refuse("retry.tiers.\(name)", "not a plain name") }
            if !(1...5).contains(seconds.count) || seconds != Set(seconds).sorted()
                || !seconds.allSatisfy((1...86_400).contains)
            {
                try refuse("retry.tiers.\(name)", "one to five different delays of 1 to 86400 seconds, shortest first")
            }
        }
        for (name, queue) in workQueues {
            for tier in queue.tiers where retry.tiers[tier] == nil {
                try refuse("work_queues.\(name).tiers", "there is no tier \"\(tier)\"")
            }
            if Set(queue.tiers).count != queue.tiers.count {
                try refuse("work_queues.\(name).tiers", "a tier is named twice")
            }
        }
        var owners: [String: String] = [:]
        for queue in workQueues.keys.sorted() {
            let names =
                [queue, Self.deadLetterQueue(of: queue)] + retryTiers(of: queue).flatMap(\.siblings).map(\.queue)
            for name in names {
                if let other = owners.updateValue(queue, forKey: name) {
                    try refuse("work_queues.\(queue)", "the queue \(name) would belong to \(other) as well")
                }
            }
        }
        for name in terminalQueues.keys where owners[name] != nil {
            try refuse("terminal_queues.\(name)", "the name is taken by \(owners[name] ?? "another queue")")
        }
    }

    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 200 && !name.hasPrefix("amq.")
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
            }
    }
}
