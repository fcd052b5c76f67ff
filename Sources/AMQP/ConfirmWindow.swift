/// Which publish belongs to which delivery tag, and what the broker has said about it.
///
/// Pure: it knows neither clock nor connection. A channel in confirm mode numbers its publishes from 1. The broker
/// answers each exactly once, alone or together with all before it (`multiple`), in any order. A returned message comes
/// back without its tag, before the answer; its publication is found by comparing.
struct ConfirmWindow<Item> {
    /// What became of a publish.
    enum Outcome: Equatable {
        case confirmed
        case returned(replyCode: UInt16, replyText: String)
        case refused
    }

    private enum Entry {
        /// May become `returned`, `abandoned` or `settled`.
        case sent(Item)
        /// The broker has handed it back; the answer is to follow. May become `abandoned` or `settled`.
        case returned(Item, replyCode: UInt16, replyText: String)
        /// Nobody waits any more, yet the broker's answer is still to come. May become `settled`. The item is kept until the
        /// broker hands it back, or else a publish of the same content, sent after it, would be taken for the one returned.
        case abandoned(Item?)
        /// Answered, but an earlier one is not, so the place is kept.
        case settled
    }

    private var entries = FIFO<Entry>()
    /// The tag of the first entry.
    private var firstTag: UInt64 = 1
    /// No entry before this one has anybody who waits.
    private var firstWaiting = 0

    /// Publishes that somebody waits for.
    private(set) var waiting = 0
    /// Publishes given up on that the broker has not answered yet.
    private(set) var abandoned = 0

    /// Places kept, from the oldest unanswered publish to the newest.
    var span: Int { entries.count }

    /// Notes the next publish; answers the tag that the broker will use for it.
    @discardableResult
    mutating func send(_ item: Item) -> UInt64 {
        entries.append(.sent(item))
        waiting += 1
        return firstTag + UInt64(entries.count - 1)
    }

    /// The oldest publish that somebody waits for.
    var oldest: Item? {
        guard firstWaiting < entries.count else { return nil }
        switch entries[firstWaiting] {
        case .sent(let item), .returned(let item, _, _): return item
        case .abandoned, .settled: return nil
        }
    }

    /// Moves on to the oldest publish that somebody waits for.
    private mutating func passOver() {
        while firstWaiting < entries.count {
            switch entries[firstWaiting] {
            case .sent, .returned: return
            case .abandoned, .settled: firstWaiting += 1
            }
        }
    }

    /// Takes the broker's answer; tag 0 with `multiple` stands for all. Answers false for a tag that was never sent.
    mutating func settle(
        _ tag: UInt64, multiple: Bool, isRefused: Bool, each: (Item, Outcome) -> Void
    ) -> Bool {
        let count = entries.count
        let last: UInt64
        if multiple, tag == 0 {
            if count == 0 { return true }
            last = firstTag + UInt64(count) - 1
        } else {
            last = tag
        }
        guard last > 0, last < firstTag + UInt64(count) else { return false }
        // Answered before: RabbitMQ does not do this, and it means nothing new.
        guard last >= firstTag else { return true }
        let end = Int(last - firstTag)
        for index in (multiple ? 0 : end)...end { settle(at: index, isRefused: isRefused, each: each) }
        while case .settled? = entries.first {
            entries.popFirst()
            firstTag += 1
            firstWaiting = max(0, firstWaiting - 1)
        }
        passOver()
        return true
    }

    private mutating func settle(at index: Int, isRefused: Bool, each: (Item, Outcome) -> Void) {
        let entry = entries[index]
        entries[index] = .settled
        switch entry {
        case .sent(let item):
            waiting -= 1
            each(item, isRefused ? .refused : .confirmed)
        case .returned(let item, let replyCode, let replyText):
            waiting -= 1
            each(item, isRefused ? .refused : .returned(replyCode: replyCode, replyText: replyText))
        case .abandoned:
            abandoned -= 1
        case .settled:
            break
        }
    }

    /// Notes that the broker handed back the oldest publish that matches, whether anybody waits for it or not; answers
    /// false if none does.
    mutating func markReturned(replyCode: UInt16, replyText: String, where matches: (Item) -> Bool) -> Bool {
        for index in 0..<entries.count {
            switch entries[index] {
            case .sent(let item) where matches(item):
                entries[index] = .returned(item, replyCode: replyCode, replyText: replyText)
                return true
            case .abandoned(let item?) where matches(item):
                entries[index] = .abandoned(nil)
                return true
            default:
                continue
            }
        }
        return false
    }

    /// Gives up on the oldest publishes as long as they are overdue, and hands them out; their tags stay reserved for the
    /// broker's answer.
    mutating func abandon(while isOverdue: (Item) -> Bool) -> [Item] {
        var given: [Item] = []
        while let item = oldest, isOverdue(item) {
            if case .sent = entries[firstWaiting] {
                entries[firstWaiting] = .abandoned(item)
            } else {
                entries[firstWaiting] = .abandoned(nil)
            }
            waiting -= 1
            abandoned += 1
            given.append(item)
            passOver()
        }
        return given
    }

    /// Ends the channel: hands out what somebody still waits for, oldest first, and starts anew at tag 1.
    mutating func reset(each: (Item) -> Void) {
        let ended = entries.removeAll()
        self = ConfirmWindow()
        for entry in ended {
            switch entry {
            case .sent(let item), .returned(let item, _, _): each(item)
            case .abandoned, .settled: continue
            }
        }
    }
}
