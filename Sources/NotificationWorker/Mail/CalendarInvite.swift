package import Domain
package import Foundation

/// An iCalendar object (RFC 5545, carried in mail by RFC 6047) that a mail client shows as an invitation.
///
/// A change is an update of the same entry: the UID stays, SEQUENCE goes up. Times are in UTC, which needs no VTIMEZONE
/// and cannot be misread; calendars show them in the reader's zone.
package struct CalendarInvite: Sendable {
    package enum Method: String, Sendable {
        case request = "REQUEST"
        case cancel = "CANCEL"
    }

    package var method: Method
    package var uid: String
    package var sequence: Int
    /// When this version was made.
    package var stamp: Date
    package var visit: Visit
    package var summary: String
    package var location: String?
    package var description: String
    package var organizer: (name: String, address: String)
    package var attendee: (name: String, address: String)

    package init(
        method: Method, uid: String, sequence: Int, stamp: Date, visit: Visit, summary: String, location: String?,
        description: String, organizer: (name: String, address: String), attendee: (name: String, address: String)
    ) {
        self.method = method
        self.uid = uid
        self.sequence = sequence
        self.stamp = stamp
        self.visit = visit
        self.summary = summary
        self.location = location
        self.description = description
        self.organizer = organizer
        self.attendee = attendee
    }

    /// The object: lines of at most 75 octets, ended by CRLF.
    package func rendered() -> [UInt8] {
        var lines = [
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Neff Paving//Scheduling//EN", "CALSCALE:GREGORIAN",
            "METHOD:\(method.rawValue)", "BEGIN:VEVENT", "UID:\(Self.escaped(uid))", "SEQUENCE:\(sequence)",
            "DTSTAMP:\(Self.utc(stamp))", "DTSTART:\(Self.utc(visit.startsAt))", "DTEND:\(Self.utc(visit.endsAt))",
            "SUMMARY:\(Self.escaped(summary))", "DESCRIPTION:\(Self.escaped(description))",
            "STATUS:\(method == .cancel ? "CANCELLED" : "CONFIRMED")", "TRANSP:OPAQUE",
            "ORGANIZER;CN=\(Self.parameter(organizer.name)):mailto:\(organizer.address)",
            "ATTENDEE;CN=\(Self.parameter(attendee.name));ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=FALSE:mailto:"
                + attendee.address,
        ]
        if let location { lines.append("LOCATION:\(Self.escaped(location))") }
        lines += ["END:VEVENT", "END:VCALENDAR"]
        return lines.flatMap(Self.folded)
    }

    /// `20270316T130000Z`.
    private static func utc(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        func two(_ value: Int?) -> String {
            let value = value ?? 0
            return value < 10 ? "0\(value)" : String(value)
        }
        let day = "\(parts.year ?? 0)\(two(parts.month))\(two(parts.day))"
        return "\(day)T\(two(parts.hour))\(two(parts.minute))\(two(parts.second))Z"
    }

    /// TEXT values (RFC 5545 section 3.3.11): backslash, semicolon, comma and line breaks.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case ";": result += "\\;"
            case ",": result += "\\,"
            case "\n", "\r\n": result += "\\n"
            default:
                // Other control characters have no place in TEXT.
                if character.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }) {
                    result.append(character)
                }
            }
        }
        return result
    }

    /// Quoted parameter values (section 3.2) cannot hold quotes or control characters at all.
    private static func parameter(_ text: String) -> String {
        "\"" + text.filter { $0 != "\"" && $0.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 } } + "\""
    }

    /// Folding (section 3.1): at most 75 octets in a line, never inside a character.
    private static func folded(_ line: String) -> [UInt8] {
        var result: [UInt8] = []
        var room = 75
        for character in line {
            let bytes = Array(character.utf8)
            if bytes.count > room {
                result += Array("\r\n ".utf8)
                room = 74
            }
            result += bytes
            room -= bytes.count
        }
        return result + Array("\r\n".utf8)
    }
}
