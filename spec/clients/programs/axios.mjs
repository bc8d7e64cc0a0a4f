import axios from "axios";
import { checkUpload, openUpload, staySearchable } from "./upload.mjs";

const [origin] = process.argv.slice(2);
await axios.get(`${origin}/me`);
checkUpload((await axios.post(`${origin}/upload`, openUpload())).data);
staySearchable();
