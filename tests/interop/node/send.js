// Sends one message with nodemailer: node send.js PORT SECURE USER PASSWORD RECIPIENT [oauth]
// With `oauth` the password is a token.
const nodemailer = require("nodemailer");

const [port, secure, user, pass, to, oauth] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(port),
  secure: secure === "yes",
  requireTLS: secure !== "yes",
  tls: { rejectUnauthorized: false },
  auth: oauth ? { type: "OAuth2", user, accessToken: pass } : { user, pass },
});
transport
  .sendMail({
    from: `"Ann ✓ Jakarta" <${user}>`,
    to,
    subject: "Selamat pagi ✓ ☕",
    text: "Halo dari nodemailer.\n.\n..\n",
    attachments: [{ filename: "catatan.txt", content: "isi" }],
  })
  .then((sent) => console.log(sent.response))
  .catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
