module example.com/team/sample

go 1.19
