package import Foundation

/// A kind of thing that has identifiers of its own.
package protocol Identified {
    /// What every identifier of this kind starts with, such as `job`.
    static var identifierPrefix: String { get }
}

/// The identifier of one thing: a prefix that tells its kind, and 26 characters that sort by the time of making.
///
/// The text is `prefix_` followed by 48 bits of Unix milliseconds and 80 random bits in Crockford's base 32.
package struct Identifier<Entity: Identified>: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible
{
    package let rawValue: String

    /// Takes an identifier that came from outside.
    ///
    /// - Returns: nil if the prefix, the length or the alphabet is wrong.
    package init?(rawValue: String) {
        let prefix = Entity.identifierPrefix + "_"
        guard rawValue.hasPrefix(prefix) else { return nil }
        let rest = rawValue.utf8.dropFirst(prefix.utf8.count)
        guard rest.count == 26, rest.allSatisfy(Crockford.alphabet.contains) else { return nil }
        self.rawValue = rawValue
    }

    /// Makes a new identifier from the time and the system's random numbers.
    package static func make(at instant: Date = Date()) -> Self {
        Self(
            milliseconds: UInt64(max(0, instant.timeIntervalSince1970 * 1000)),
            random: (.random(in: .min ... .max), .random(in: .min ... .max)))
    }

    /// Makes the identifier that belongs to these bytes, always the same one.
    ///
    /// - Parameter digest: at least 16 bytes of a cryptographic digest.
    package init(digest: some Collection<UInt8>) {
        let bytes = Array(digest.prefix(16))
        precondition(bytes.count == 16, "an identifier takes 16 bytes")
        let high = bytes[0..<6].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let middle = bytes[6..<8].reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
        let low = bytes[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        self.init(milliseconds: high, random: (middle, low))
    }

    private init(milliseconds: UInt64, random: (UInt16, UInt64)) {
        rawValue = Entity.identifierPrefix + "_" + Crockford.text(milliseconds: milliseconds, random: random)
    }

    package var description: String { rawValue }

    package static func < (left: Self, right: Self) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension Identifier: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let identifier = Self(rawValue: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not an identifier that starts with \(Entity.identifierPrefix)_")
        }
        self = identifier
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// Crockford's base 32: no I, L, O or U, so that people read it back without mistakes.
private enum Crockford {
    static let digits = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
    static let alphabet = Set(digits)

    static func text(milliseconds: UInt64, random: (UInt16, UInt64)) -> String {
        var characters: [UInt8] = []
        characters.reserveCapacity(26)
        for shift in stride(from: 45, through: 0, by: -5) {
            characters.append(digits[Int(milliseconds >> UInt64(shift) & 31)])
        }
        var high = UInt32(random.0)
        var low = random.1
        var tail: [UInt8] = []
        for _ in 0..<16 {
            tail.append(digits[Int(low & 31)])
            low = low >> 5 | UInt64(high & 31) << 59
            high >>= 5
        }
        return String(decoding: characters + tail.reversed(), as: UTF8.self)
    }
}

package enum CustomerTag: Identified { package static let identifierPrefix = "cus" }
package enum ConsultationTag: Identified { package static let identifierPrefix = "con" }
package enum JobTag: Identified { package static let identifierPrefix = "job" }
package enum ResourceTag: Identified { package static let identifierPrefix = "res" }
package enum OperationTag: Identified { package static let identifierPrefix = "opn" }
package enum NotificationTag: Identified { package static let identifierPrefix = "ntf" }
package enum DeadLetterTag: Identified { package static let identifierPrefix = "dlt" }
package enum ReplayCampaignTag: Identified { package static let identifierPrefix = "rpl" }
package enum YardTag: Identified { package static let identifierPrefix = "yrd" }
package enum AbsenceTag: Identified { package static let identifierPrefix = "abs" }

package typealias CustomerID = Identifier<CustomerTag>
package typealias ConsultationID = Identifier<ConsultationTag>
package typealias JobID = Identifier<JobTag>
/// A crew, somebody of a crew, an estimator or a piece of equipment.
package typealias ResourceID = Identifier<ResourceTag>
package typealias OperationID = Identifier<OperationTag>
package typealias NotificationID = Identifier<NotificationTag>
package typealias DeadLetterID = Identifier<DeadLetterTag>
package typealias ReplayCampaignID = Identifier<ReplayCampaignTag>
package typealias YardID = Identifier<YardTag>
/// A time off of somebody, or a maintenance window of a machine.
package typealias AbsenceID = Identifier<AbsenceTag>
