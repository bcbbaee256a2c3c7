import Glibc

// Foundation-free names for the few scalar functions that the model needs.
func exponential(_ x: Float) -> Float { expf(x) }
func logarithm(_ x: Float) -> Float { logf(x) }
func sine(_ x: Float) -> Float { sinf(x) }
func cosine(_ x: Float) -> Float { cosf(x) }
func cosine(_ x: Double) -> Double { cos(x) }
