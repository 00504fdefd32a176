def measure(a,b): return [],{}
def told(s): return []
