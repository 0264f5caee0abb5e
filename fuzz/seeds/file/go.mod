go.mod
module example.com/app

go 1.21

require (
	golang.org/x/sys v0.1.0 // indirect
	a.b/c v2.0.0+incompatible
)

replace a.b/c v2.0.0+incompatible => ../c
exclude x.y/z v1.0.0
