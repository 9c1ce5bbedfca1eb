"""A CA and ECDSA P-256 certificates for both sides of many connections, by strongSwan's pki."""
import os
import shutil
import subprocess


def pki(out, *args):
    done = subprocess.run(["pki", *args, "--outform", "pem"], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"pki {' '.join(args)}: {done.stderr.decode()}")
    with open(out, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(done.stdout)


def make(directory, n):
    """One key for each side; a certificate for each identity a0.example, b0.example and so on."""
    for d in ("x509", "x509ca", "private"):
        os.makedirs(os.path.join(directory, d))
    ca, ca_key = os.path.join(directory, "x509ca", "ca.pem"), os.path.join(directory, "ca.key")
    pki(ca_key, "--gen", "--type", "ecdsa", "--size", "256")
    pki(ca, "--self", "--ca", "--in", ca_key, "--type", "ecdsa", "--dn", "C=CH, O=Bench, CN=CA")
    for side in "ab":
        key = os.path.join(directory, "private", f"{side}.key")
        pki(key, "--gen", "--type", "ecdsa", "--size", "256")
        for i in range(n):
            name = f"{side}{i}.example"
            pki(os.path.join(directory, "x509", f"{side}{i}.pem"), "--issue", "--in", key,
                "--type", "ecdsa", "--cacert", ca, "--cakey", ca_key,
                "--dn", f"C=CH, O=Bench, CN={name}", "--san", name)


def give(directory, side, to):
    """What the gateway of one side has: the CA, its certificates and its key."""
    for d in ("x509", "x509ca", "private"):
        os.makedirs(os.path.join(to, d), exist_ok=True)
        for name in os.listdir(os.path.join(directory, d)):
            if d == "x509ca" or name.startswith(side):
                shutil.copy(os.path.join(directory, d, name), os.path.join(to, d, name))
