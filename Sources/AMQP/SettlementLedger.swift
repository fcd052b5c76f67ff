/// Which deliveries of a channel are unsettled, and how to settle many with few words.
///
/// Pure. The broker numbers the deliveries of a channel from 1 without gaps. An acknowledgement with `multiple` covers
/// every unsettled delivery up to its tag, of all consumers on the channel, so it may be used only as far as everything
/// from the oldest unsettled delivery on is to be acknowledged.
struct SettlementLedger {
    enum Settlement: Sendable { case acknowledge, reject, requeue }

    enum Command: Equatable {
        case acknowledge(UInt64, multiple: Bool)
        case reject(UInt64)
        case requeue(UInt64)
    }

    private enum Entry {
        /// May become `acknowledging` or `settled`.
        case unsettled
        /// Waits for the next flush. Becomes `settled`.
        case acknowledging
        /// The broker was told.
        case settled
    }

    private var entries = FIFO<Entry>()
    private var firstTag: UInt64 = 1
    private var acknowledging: [UInt64] = []
    private var refusals: [Command] = []

    /// Deliveries that nobody has settled yet.
    private(set) var unsettled = 0
    /// Whether `flush` has something to say.
    var hasPending: Bool { !acknowledging.isEmpty || !refusals.isEmpty }

    /// Notes a delivery; false if its tag is not the next one, which breaks the protocol.
    mutating func deliver(_ tag: UInt64) -> Bool {
        guard tag == firstTag + UInt64(entries.count) else { return false }
        entries.append(.unsettled)
        unsettled += 1
        return true
    }

    /// Settles a delivery; false if it is unknown or settled already. Telling the broker twice would cost the channel.
    mutating func settle(_ tag: UInt64, _ settlement: Settlement) -> Bool {
        guard tag >= firstTag, tag < firstTag + UInt64(entries.count) else { return false }
        let index = Int(tag - firstTag)
        guard case .unsettled = entries[index] else { return false }
        unsettled -= 1
        switch settlement {
        case .acknowledge:
            entries[index] = .acknowledging
            acknowledging.append(tag)
        case .reject:
            entries[index] = .settled
            refusals.append(.reject(tag))
        case .requeue:
            entries[index] = .settled
            refusals.append(.requeue(tag))
        }
        return true
    }

    /// What to tell the broker now, in this order.
    mutating func flush() -> [Command] {
        var commands = refusals
        refusals.removeAll(keepingCapacity: true)

        // From the oldest delivery on, as far as nothing is unsettled, one word covers all.
        var covered = 0
        var lastCovered: UInt64 = 0
        prefix: while let oldest = entries.first {
            switch oldest {
            case .unsettled:
                break prefix
            case .acknowledging:
                covered += 1
                lastCovered = firstTag
            case .settled:
                break
            }
            entries.popFirst()
            firstTag += 1
        }
        if covered > 0 { commands.append(.acknowledge(lastCovered, multiple: covered > 1)) }
        for tag in acknowledging where tag >= firstTag {
            entries[Int(tag - firstTag)] = .settled
            commands.append(.acknowledge(tag, multiple: false))
        }
        acknowledging.removeAll(keepingCapacity: true)
        return commands
    }
}
