import Foundation
import TestSupport
import Testing
import Transport

@Suite(.timeLimit(.minutes(1))) struct MailMessageTests {
    private static let calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"

    private static func mail(
        fromName: String? = "Neff Paving", toName: String? = nil, subject: String = "Your visit",
        text: String = "Hello\nWorld", html: String? = nil, withCalendar: Bool = false,
        headers: [(name: String, value: String)] = []
    ) throws -> Mail {
        try Mail(
            from: Mailbox(name: fromName, address: "office@neff.test"),
            to: Mailbox(name: toName, address: "pat@example.test"), subject: subject, messageID: "abc.1@neff.test",
            date: Date(timeIntervalSince1970: 1_793_883_600), text: text, html: html,
            calendar: withCalendar ? Mail.CalendarPart(method: .request, bytes: Array(calendar.utf8)) : nil,
            headers: headers)
    }

    @Test func aPlainMailIsExactlyTheseBytes() throws {
        let mail = try Self.mail(
            subject: "Größe", text: ".dot first\nFrom here\n100% = café \nend",
            headers: [("Auto-Submitted", "auto-generated")])
        let expected = """
            Date: Thu, 05 Nov 2026 13:00:00 +0000
            From: Neff Paving <office@neff.test>
            To: pat@example.test
            Subject: =?UTF-8?B?R3LDtsOfZQ==?=
            Message-ID: <abc.1@neff.test>
            Auto-Submitted: auto-generated
            MIME-Version: 1.0
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            =2Edot first
            =46rom here
            100% =3D caf=C3=A9=20
            end

            """
        #expect(String(decoding: mail.rendered(), as: UTF8.self) == expected.replacing("\n", with: "\r\n"))
    }

    @Test func theSameMailAlwaysGivesTheSameBytes() throws {
        let first = try Self.mail(html: "<p>Hi</p>", withCalendar: true).rendered()
        #expect(try Self.mail(html: "<p>Hi</p>", withCalendar: true).rendered() == first)
        #expect(try Self.mail(html: "<p>Ho</p>", withCalendar: true).rendered() != first)
    }

    @Test func aCalendarIsAnAlternativeAndAnAttachment() throws {
        let mail = try Self.mail(html: "<p>Schöne Grüße</p>", withCalendar: true)
        let seen = try ReadMail(mail.rendered())
        #expect(
            seen.parts.map(\.type) == [
                "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar",
                "application/ics",
            ])
        #expect(seen.parts[2].text == "Hello\r\nWorld")
        #expect(seen.parts[3].text == "<p>Schöne Grüße</p>")
        #expect(seen.parts[4].text == Self.calendar && seen.parts[4].method == "REQUEST")
        #expect(seen.parts[5].text == Self.calendar && seen.parts[5].filename == "invite.ics")
        #expect(seen.defects.isEmpty)
        #expect(seen.longestLine <= 78)
    }

    @Test(arguments: [
        "Zoë Müller-Lüdenscheidt", "O'Brien, Pat \"The\" Paver", "back\\slash", "山田太郎", "مرحبا", "👩‍👩‍👧‍👦 family 🏗️",
        "=?UTF-8?Q?forged?=", "a.b", String(repeating: "ü", count: 128), String(repeating: "x", count: 120),
        "many words " + String(repeating: "and more ", count: 12) + "end",
    ])
    func everyNameAndSubjectIsReadBackAsItWas(_ text: String) throws {
        let seen = try ReadMail(Self.mail(fromName: text, toName: text, subject: text).rendered())
        #expect(seen.subject == text)
        // Python 3.11 leaves the space between two encoded words of a display name, against RFC 2047 section 6.2.
        let isOneWord = text.utf8.count <= 39
        func same(_ read: String?) -> Bool {
            isOneWord ? read == text : read?.replacing(" ", with: "") == text.replacing(" ", with: "")
        }
        #expect(same(seen.from[0][0]) && seen.from[0][1] == "office@neff.test")
        #expect(same(seen.to[0][0]) && seen.to[0][1] == "pat@example.test")
        #expect(seen.longestLine <= 78)
        #expect(seen.bareLineEnds == 0 && seen.nonASCII == 0)
    }

    @Test(arguments: ["\r\n", "\n", "\r", "\0", "\u{2028}", "\u{85}", "\u{b}"])
    func aLineEndInAHeaderCannotStartAnother(_ lineEnd: String) throws {
        let attack = "Hi\(lineEnd)Bcc: everyone@example.test\(lineEnd)\(lineEnd)<script>"
        let mail = try Self.mail(fromName: attack, toName: attack, subject: attack, headers: [("X-Neff-Note", attack)])
        let seen = try ReadMail(mail.rendered())
        #expect(
            seen.names == [
                "Date", "From", "To", "Subject", "Message-ID", "X-Neff-Note", "MIME-Version", "Content-Type",
                "Content-Transfer-Encoding",
            ])
        #expect(seen.subject == "Hi Bcc: everyone@example.test <script>")
        #expect(seen.to.count == 1 && seen.parts.count == 1)
    }

    @Test(arguments: [
        "Bcc", "to", "Content-Type", "Message-ID", "X Y", "X:Y", "X\r\nBcc", "", "Ü",
    ])
    func aHeaderNameThatForgesIsRefused(_ name: String) {
        #expect(throws: Mail.Invalid.self) { try Self.mail(headers: [(name, "v")]) }
    }

    @Test(arguments: ["", "a", "a@b@c", "a b@c", "a@b>\r\nBcc: x", "@b", "a@", "<a@b"])
    func aMalformedMessageIDIsRefused(_ id: String) throws {
        let box = try Mailbox(address: "a@b.test")
        #expect(throws: Mail.Invalid.self) {
            try Mail(from: box, to: box, subject: "", messageID: id, date: Date(), text: "")
        }
    }

    @Test(arguments: [
        "pat@example.test", "pat+neff@ex-ample.test", "O'Brien@example.test", "a..b@docomo.test", "x@[127.0.0.1]",
        "user%x@example.test",
    ])
    func anOrdinaryAddressIsTaken(_ address: String) throws {
        #expect(try Mailbox(address: address).address == address)
    }

    @Test(arguments: [
        "", "pat", "@example.test", "pat@", "pat@@example.test", "a b@example.test", "pat@exa mple.test",
        "pat@example.test\r\nRCPT TO:<x@y.test>", "pat@example.test>", "<pat@example.test>", "pat@example.test\0",
        "\"a b\"@example.test", "pät@example.test", "pat@exämple.test", "pat@-x.test", "pat@x..test", ".pat@x.test",
        "pat@[::1]", "pat@[1.2.3]", "pat@[1.2.3.999]", "a,b@example.test", "a@b,c@d.test", "-oX@example.test",
        String(repeating: "a", count: 65) + "@example.test", "a@" + String(repeating: "b.", count: 130) + "test",
    ])
    func anAddressThatCouldMeanMoreIsRefused(_ address: String) {
        #expect(throws: Mailbox.InvalidAddress.self) { try Mailbox(address: address) }
    }

    @Test func aMailboxDoesNotShowItselfInLogs() throws {
        let box = try Mailbox(name: "Pat", address: "pat@example.test")
        #expect("\(box)".contains("pat") == false && "\(box)".contains("Pat") == false)
        #expect(String(reflecting: box) == "Pat <pat@example.test>")
    }

    @Test(arguments: [
        "", "\n", "no end", "tab\t\nspace \n", String(repeating: "long ", count: 500),
        String(repeating: "é", count: 400), "\r\nCRLF\r\n\rCR\r", "\0control\u{1b}", ".\n..\n.", "=\n==",
        String(repeating: ".", count: 300), String(repeating: "x", count: 76), String(repeating: "x", count: 77),
        String(repeating: "x", count: 75) + "é",
    ])
    func textOfAnyShapeIsReadBackWithItsLines(_ text: String) throws {
        let bytes = try Self.mail(text: text).rendered()
        let seen = try ReadMail(bytes)
        var expected = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        if !expected.hasSuffix("\n") { expected += "\n" }
        #expect(seen.parts[0].text?.replacing("\r\n", with: "\n") == expected)
        #expect(seen.longestLine <= 78 && seen.bareLineEnds == 0 && seen.nonASCII == 0)
        #expect(String(decoding: bytes, as: UTF8.self).contains("\r\n.") == false)
    }

    @Test(arguments: [
        (0.0, "Thu, 01 Jan 1970 00:00:00 +0000"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
        (-1, "Wed, 31 Dec 1969 23:59:59 +0000"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"), (1_793_883_600.9, "Thu, 05 Nov 2026 13:00:00 +0000"),
        (-62_135_596_800, "Mon, 01 Jan 0001 00:00:00 +0000"),
    ])
    func datesAreRightOverLeapDaysAndBeforeTheEpoch(_ seconds: Double, _ expected: String) throws {
        let box = try Mailbox(address: "a@b.test")
        let mail = try Mail(
            from: box, to: box, subject: "", messageID: "a@b", date: Date(timeIntervalSince1970: seconds), text: "")
        #expect(String(decoding: mail.rendered(), as: UTF8.self).hasPrefix("Date: \(expected)\r\n"))
    }

    @Test(arguments: ["../x.ics", "a b.ics", "\"", "ü.ics", "", "a\r\nb"])
    func aFileNameThatNeedsQuotingIsRefused(_ name: String) {
        #expect(throws: Mail.Invalid.self) { try Mail.CalendarPart(method: .cancel, bytes: [], fileName: name) }
    }
}
