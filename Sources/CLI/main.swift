print("neff")
