/** The look of every page that the server renders: one text, named by its hash in the content security policy. */
export const STYLE = `:root{color-scheme:light dark;--page:#f3f4f6;--card:#fff;--text:#17202b;--soft:#566271;--line:#d5dae1;--field:#8792a0;
--accent:#0b5c55;--on-accent:#fff;--bad:#a3161f;--bad-back:#fdf0f0;--good:#0b5c55;--good-back:#ebf6f4;font:16px/1.55 system-ui,sans-serif}
@media(prefers-color-scheme:dark){:root{--page:#11161c;--card:#1a2129;--text:#e8ecf1;--soft:#a3afbd;--line:#323c48;--field:#6f7d8e;
--accent:#5fd0c1;--on-accent:#06231f;--bad:#ff9c9c;--bad-back:#3a1d21;--good:#7fe0d2;--good-back:#15302d}}
*{box-sizing:border-box}body{margin:0;padding:clamp(1.5rem,9vh,6rem) 1rem 3rem;background:var(--page);color:var(--text)}
header{display:flex;justify-content:center;align-items:center;gap:.5rem;margin-bottom:1.25rem;font-weight:650;letter-spacing:.01em;color:var(--soft)}
header svg{width:1.4rem;height:1.4rem;fill:var(--accent)}
main{max-width:30rem;margin:0 auto;padding:clamp(1.25rem,5vw,2.25rem);background:var(--card);border:1px solid var(--line);border-radius:14px;overflow-wrap:anywhere}
h1{font-size:1.45rem;line-height:1.25;margin:0 0 .75rem;letter-spacing:-.01em}h2{font-size:1.05rem;margin:2rem 0 .5rem;padding-top:1.25rem;border-top:1px solid var(--line)}
p{margin:.5rem 0}a{color:var(--accent)}code,.code{font-family:ui-monospace,monospace}.soft{color:var(--soft);font-size:.925rem}
form{margin:1.25rem 0 0}.bare{margin:0}label{display:block;margin:.9rem 0 .25rem;font-weight:600}
input{display:block;width:100%;font:inherit;color:inherit;background:var(--card);padding:.6rem .75rem;border:1px solid var(--field);border-radius:8px}
input[hidden]{display:none}input[readonly]{background:var(--page);border-color:var(--line)}input.code{font-size:1.35rem;letter-spacing:.12em;text-transform:uppercase;text-align:center}
button,.button{display:inline-block;font:inherit;font-weight:600;text-align:center;text-decoration:none;margin:1.25rem 0 0;padding:.6rem 1.1rem;border-radius:8px;cursor:pointer;
border:1px solid var(--field);background:var(--card);color:var(--text);overflow-wrap:normal}.main{border-color:var(--accent);background:var(--accent);color:var(--on-accent)}
.wide{width:100%}.small{margin:0;padding:.3rem .75rem;font-size:.9rem}button:hover,.button:hover{filter:brightness(.94)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}.pair{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
.bad,.good{padding:.6rem .85rem;border-radius:8px;border-left:4px solid}.bad{color:var(--bad);background:var(--bad-back)}.good{color:var(--good);background:var(--good-back)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:1.25rem 0 0}dt{color:var(--soft)}dd{margin:0;font-weight:600}
.list{list-style:none;margin:.5rem 0 0;padding:0}.list li{display:flex;justify-content:space-between;align-items:center;gap:1rem;padding:.7rem 0;border-top:1px solid var(--line)}
.list li:first-child{border-top:0}.list form{flex:none;margin:0}.list p{margin:0}
.or{display:flex;align-items:center;gap:.75rem;margin:1.5rem 0 0;color:var(--soft);font-size:.925rem}.or::before,.or::after{content:"";flex:1;border-top:1px solid var(--line)}`;
