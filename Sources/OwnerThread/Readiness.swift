import Glibc

/// What a descriptor can do now, or what to wait for.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Bytes, a connection or the end of the stream can be read.
    package static let readable = Readiness(rawValue: 1)
    /// Bytes can be written without waiting.
    package static let writable = Readiness(rawValue: 2)
    /// The descriptor failed or the peer hung up; reading or writing tells which.
    package static let failed = Readiness(rawValue: 4)

    /// The bits of `poll(2)` that ask for it; failures are reported unasked.
    package var events: Int16 {
        var events: Int32 = 0
        if contains(.readable) { events |= POLLIN }
        if contains(.writable) { events |= POLLOUT }
        return Int16(events)
    }

    /// What the bits of `poll(2)` say.
    package init(events: Int16) {
        var readiness: Readiness = []
        let events = Int32(events)
        if events & POLLIN != 0 { readiness.insert(.readable) }
        if events & POLLOUT != 0 { readiness.insert(.writable) }
        if events & (POLLERR | POLLHUP | POLLNVAL) != 0 { readiness.insert(.failed) }
        self = readiness
    }
}
