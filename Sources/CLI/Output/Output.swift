import Foundation
import Messaging

/// The few ways in which commands print.
enum Output {
    /// One JSON document on standard output, with the keys and instants of the API.
    static func json(_ value: some Encodable) throws {
        let bytes = try WireJSON.encode(value)
        FileHandle.standardOutput.write(Data(bytes + [UInt8(ascii: "\n")]))
    }

    /// An instant for operators: UTC, to the second, with its zone.
    static func time(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle())
    }

    /// A span for people, such as `3 min` or `2 h`.
    static func age(since date: Date, now: Date = Date()) -> String {
        let seconds = Int(max(0, now.timeIntervalSince(date)))
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}
