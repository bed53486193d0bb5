package storage

import "syscall"

// networkFileSystem names the file system that a file is on if other machines have it too, or
// returns "".
func networkFileSystem(path string) string {
	var fs syscall.Statfs_t
	if syscall.Statfs(path, &fs) != nil {
		return "" // it can't be told
	}
	// The magic numbers of statfs(2). What it gives as a signed number is cut to its 32 bits.
	return map[uint32]string{
		0x6969:     "NFS",
		0x517b:     "SMB",
		0xfe534d42: "SMB",
		0xff534d42: "CIFS",
		0x00c36400: "CephFS",
		0x5346414f: "AFS",
		0x01021997: "9P",
		0x0bd00bd0: "Lustre",
		0x47504653: "GPFS",
	}[uint32(fs.Type)]
}
