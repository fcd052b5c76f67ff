import Domain
import Foundation
import NotificationWorker
import Testing

@Suite struct CalendarInviteTests {
    private func invite(_ change: (inout CalendarInvite) -> Void = { _ in }) throws -> CalendarInvite {
        var invite = CalendarInvite(
            method: .request, uid: "con_1@neff.example", sequence: 3, stamp: Sample.now, visit: try Sample.visit(),
            summary: "Neff Paving: residential consultation", location: "12 Sample Road; rear, left",
            description: "Hello\n\n\"quoted\" C:\\dir; a, b\n",
            organizer: (name: "Neff Paving", address: "scheduling@neff.example"),
            attendee: (name: "Ann Example", address: "ann@example.com"))
        change(&invite)
        return invite
    }

    @Test func anInvitationIsReadBack() throws {
        let invite = try invite()
        let calendar = try CalendarReader(invite.rendered())
        #expect(calendar.calendar.map(\.name) == ["VERSION", "PRODID", "CALSCALE", "METHOD"])
        #expect(try calendar.text("VERSION") == "2.0")
        #expect(try calendar.text("METHOD") == "REQUEST")
        #expect(try calendar.text("STATUS") == "CONFIRMED")
        #expect(try calendar.text("UID") == "con_1@neff.example")
        #expect(try calendar.text("SEQUENCE") == "3")
        #expect(try calendar.text("DTSTART") == "20270316T130000Z")
        #expect(try calendar.text("DTEND") == "20270316T140000Z")
        #expect(try calendar.text("DTSTAMP") == "20270219T012000Z")
        #expect(try calendar.text("SUMMARY") == invite.summary)
        #expect(try calendar.text("LOCATION") == invite.location)
        #expect(try calendar.text("DESCRIPTION") == invite.description)
        let organizer = calendar.property("ORGANIZER")
        #expect(organizer?.value == "mailto:scheduling@neff.example")
        #expect(organizer?.parameters == ["CN": "Neff Paving"])
        let attendee = calendar.property("ATTENDEE")
        #expect(attendee?.value == "mailto:ann@example.com")
        #expect(attendee?.parameters["CN"] == "Ann Example")
    }

    @Test func aCancellationNamesTheSameEntry() throws {
        let calendar = try CalendarReader(
            invite {
                $0.method = .cancel
                $0.sequence = 4
            }.rendered())
        #expect(try calendar.text("METHOD") == "CANCEL")
        #expect(try calendar.text("STATUS") == "CANCELLED")
        #expect(try calendar.text("UID") == "con_1@neff.example")
        #expect(try calendar.text("SEQUENCE") == "4")
    }

    /// Each length, so that every place of a fold meets every width of a character.
    @Test(arguments: ["a", "ä", "王", "👷", "👩‍👩‍👧‍👦", "e\u{301}\u{302}\u{303}"], 0...80)
    func longLinesAreFoldedBetweenCharacters(_ filler: String, _ offset: Int) throws {
        let summary = String(repeating: "x", count: offset) + String(repeating: filler, count: 60)
        let calendar = try CalendarReader(invite { $0.summary = summary }.rendered())
        #expect(try calendar.text("SUMMARY") == summary)
    }

    /// A Swift character may be longer than a line.
    @Test func aCharacterOfManyScalarsIsFolded() throws {
        let summary = "e" + String(repeating: "\u{301}", count: 200)
        #expect(summary.count == 1)
        let calendar = try CalendarReader(invite { $0.summary = summary }.rendered())
        #expect(try calendar.text("SUMMARY").map { Array($0.utf8) } == Array(summary.utf8))
    }

    @Test func delimitersUnderAccentsAreEscaped() throws {
        let text = "a;\u{301}b,\u{301}c\\\u{301}d"
        let calendar = try CalendarReader(invite { $0.summary = text }.rendered())
        #expect(try calendar.text("SUMMARY") == text)
    }

    @Test func namesCannotLeaveTheirParameter() throws {
        let calendar = try CalendarReader(
            invite {
                $0.attendee.name = "Ann\";ROLE=CHAIR;X=\"\r\nATTENDEE:mailto:x@example.com\"\u{301}"
                $0.organizer.name = ""
            }.rendered())
        #expect(calendar.event.count { $0.name == "ATTENDEE" } == 1)
        #expect(calendar.property("ATTENDEE")?.parameters["ROLE"] == "REQ-PARTICIPANT")
        #expect(calendar.property("ORGANIZER")?.parameters.isEmpty == true)
    }

    @Test func textCannotAddLines() throws {
        let calendar = try CalendarReader(
            invite {
                $0.summary = "a\r\nEND:VEVENT\rb\u{0}c\u{7F}d\u{85}e"
                $0.location = nil
            }.rendered())
        #expect(try calendar.text("SUMMARY") == "a\nEND:VEVENTbcde")
        #expect(try calendar.text("LOCATION") == nil)
    }

    @Test func theReaderIsStrict() {
        let good = "BEGIN:VCALENDAR\r\nX:1\r\nEND:VCALENDAR\r\n"
        #expect(throws: Never.self) { try CalendarReader(Array(good.utf8)) }
        for bad in [
            good.replacing("\r\n", with: "\n"), good.replacing("X:1", with: "X:" + String(repeating: "1", count: 74)),
            good.replacing("X:1", with: "X"), String(good.dropLast()), good.replacing("END:VCALENDAR", with: "END:X"),
        ] {
            #expect(throws: CalendarReader.Malformed.self) { try CalendarReader(Array(bad.utf8)) }
        }
    }
}
