print("fatezero")
