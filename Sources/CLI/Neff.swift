@main struct Neff { static func main() {} }
