import Persistence
import Testing

@Suite struct ErrorTextTests {
    @Test(arguments: [
        ("row 17 of job_01HX5Q2 at 2027-03-16T13:00:00Z", "row <n> of <id> at <time>"),
        ("key (id)=(5f1d7a90-c3b2-4e68-9d01-2a3b4c5d6e7f) exists", "key (id)=(<id>) exists"),
        ("mailbox dana.w@example.com is full.", "mailbox <email> is full."),
        ("field 'customer name' isn't valid", "field <text> isn't valid"),
        ("value \"Dana's\" and `x` and “y”", "value <text> and <text> and <text>"),
        ("took 1.25 s, limit 30.0 s", "took <n> s, limit <n> s"), ("5.1.1 no such user", "<n> no such user"),
        ("tried at 10:31:02, again 9:05", "tried at <time>, again <time>"), ("   two   spaces ", "two spaces"),
        ("digest 9c1185a5c5e9fc549c1185a5c5e9fc54", "digest <id>"), ("utf8 and base64", "utf<n> and base<n>"),
        ("", ""), ("'", "'"), ("don't", "don't"), ("x@", "x@"), ("job_created failed", "job_created failed"),
        ("at /payload/3/name: no key", "at /payload/<n>/name: no key"),
    ])
    func whatDiffersFromMessageToMessageIsTakenOut(text: String, normalised: String) {
        #expect(ErrorText.normalised(text) == normalised)
    }

    @Test func aLongTextIsCut() {
        #expect(ErrorText.normalised(String(repeating: "ab ", count: 10_000)).utf8.count == ErrorText.maxBytes)
    }

    @Test func whatIsNotAlikeHasAnotherFingerprint() {
        func print(
            code: String = "c", text: String = "row 1", type: String = "t", handler: String = "h", build: String? = "1"
        ) -> LetterFingerprint {
            LetterFingerprint(errorCode: code, errorText: text, type: type, handler: handler, build: build)
        }
        #expect(print(text: "row 2") == print())
        let others = [
            print(), print(code: "d"), print(text: "col 1"), print(type: "u"), print(handler: "i"), print(build: "2"),
            print(build: nil),
        ]
        #expect(Set(others.map(\.fingerprint)).count == others.count)
        #expect(print(build: "2").cause == print().cause && print(code: "d").cause != print().cause)
    }
}
